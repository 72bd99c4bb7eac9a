//! What one core can do: the floor, the codec, the session, the mailbox.
