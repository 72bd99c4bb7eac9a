-- ARGV: connections that a user may have; the latest process number that the caller knows of; the processes whose lease runs;
-- then for each route the user's prefix and the rest of the member. Answers, for each, the members that it replaces.
local connections_max = tonumber(ARGV[1])
local known = struct.unpack('>I5', ARGV[2])
local live = ARGV[3]

local function parse(member, at)
  return {
    member = member,
    conn = string.sub(member, at, at + 7),
    process = string.sub(member, at + 8, at + 12),
    since = struct.unpack('>I6', string.sub(member, at + 13, at + 18)),
    device = string.sub(member, at + 20),
  }
end

local function is_gone(process)
  return struct.unpack('>I5', process) <= known and not has(live, process)
end

-- The user's other members, as they stand to the new one: itself before, of its device, others; those of processes that are gone go.
local function compare(prefix, members, new)
  local itself, twins, others, is_outdated = nil, {}, {}, false
  for _, member in ipairs(members) do
    local other = parse(member, #prefix + 1)
    if other.conn == new.conn and other.process == new.process then
      itself = member
    elseif is_gone(other.process) then
      remove(prefix, member)
    elseif new.device ~= '' and other.device == new.device then
      twins[#twins + 1] = member
      is_outdated = is_outdated or other.since > new.since
    else
      others[#others + 1] = other
    end
  end
  return itself, twins, others, is_outdated
end

local function replace_oldest(prefix, others, replaced)
  while #others >= connections_max do
    local oldest = 1
    for index, other in ipairs(others) do
      if other.since < others[oldest].since then oldest = index end
    end
    local member = table.remove(others, oldest).member
    remove(prefix, member)
    replaced[#replaced + 1] = member
  end
end

local function bind_beside(prefix, members, new)
  local itself, twins, others, is_outdated = compare(prefix, members, new)
  if itself then remove(prefix, itself) end
  if is_outdated then return { new.member } end
  for _, member in ipairs(twins) do remove(prefix, member) end
  replace_oldest(prefix, others, twins)
  insert(prefix, new.member)
  return twins
end

local answers = {}
for index = 4, #ARGV, 2 do
  local prefix, member = ARGV[index], ARGV[index] .. ARGV[index + 1]
  local members = members_of(prefix)
  if #members == 0 then
    insert(prefix, member)
    add('u', prefix, process_of(member, prefix), 1)
    answers[#answers + 1] = {}
  else
    answers[#answers + 1] = bind_beside(prefix, members, parse(member, #prefix + 1))
    count_user(prefix, members[1])
  end
end
return answers
