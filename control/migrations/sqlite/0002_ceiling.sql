-- No sequence number above this was given out on any channel. It replaces `channels.last_seq` as what the next number follows
-- from; that column keeps the last number of a kept message.
INSERT INTO meta (name, value) SELECT 'ceiling', coalesce(max(last_seq), 0) FROM channels;
