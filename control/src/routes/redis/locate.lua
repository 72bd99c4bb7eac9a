-- ARGV: prefixes of users. Answers the members of each.
local answers = {}
for index, prefix in ipairs(ARGV) do answers[index] = members_of(prefix) end
return answers
