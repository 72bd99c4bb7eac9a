-- ARGV: processes that are gone; the member to go on after, or nothing; how many to look at. Removes what they had among them; answers
-- the last member looked at, or nothing at the end, and how many were removed.
local gone, after, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local from = '-'
if after ~= '' then from = '(' .. after end
local members = redis.call('ZRANGEBYLEX', routes, from, '+', 'LIMIT', 0, limit)
local removed = 0
for _, member in ipairs(members) do
  local prefix = string.sub(member, 1, string.find(member, '\0', 5, true))
  if has(gone, process_of(member, prefix)) then
    local before = first_of(prefix)
    remove(prefix, member)
    count_user(prefix, before)
    removed = removed + 1
  end
end
if #members < limit then return { '', removed } end
return { members[#members], removed }
