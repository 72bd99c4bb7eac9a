-- A shard of the bindings: KEYS[1] their sorted set, KEYS[2] what is counted of them. A member of the set is
--   app (4 bytes), user, a zero byte | conn (8), process (5), since (6), version (1), device
-- with scores of 0, so that a user's members are neighbours, in the order of their connections. The part before the bar is the
-- user's prefix. Counted are, per app and process, connections, and users: a user counts for the process of their first connection.
local routes, counts = KEYS[1], KEYS[2]

local function members_of(prefix)
  return redis.call('ZRANGEBYLEX', routes, '[' .. prefix, '(' .. string.sub(prefix, 1, -2) .. '\1')
end

local function first_of(prefix)
  local last = '(' .. string.sub(prefix, 1, -2) .. '\1'
  return redis.call('ZRANGEBYLEX', routes, '[' .. prefix, last, 'LIMIT', 0, 1)[1]
end

local function process_of(member, prefix)
  return string.sub(member, #prefix + 9, #prefix + 13)
end

local function add(what, prefix, process, by)
  local field = string.sub(prefix, 1, 4) .. process .. what
  if redis.call('HINCRBY', counts, field, by) == 0 then
    redis.call('HDEL', counts, field)
  end
end

-- The user's first member was `before`.
local function count_user(prefix, before)
  local after = first_of(prefix)
  local from = before and process_of(before, prefix)
  local to = after and process_of(after, prefix)
  if from ~= to then
    if from then add('u', prefix, from, -1) end
    if to then add('u', prefix, to, 1) end
  end
end

local function insert(prefix, member)
  redis.call('ZADD', routes, 0, member)
  add('c', prefix, process_of(member, prefix), 1)
end

local function remove(prefix, member)
  if redis.call('ZREM', routes, member) == 1 then
    add('c', prefix, process_of(member, prefix), -1)
  end
end

-- Whether a list of process numbers, 5 bytes each, has this one.
local function has(list, process)
  local from = 1
  while true do
    local at = string.find(list, process, from, true)
    if not at then return false end
    if at % 5 == 1 then return true end
    from = at + 1
  end
end
