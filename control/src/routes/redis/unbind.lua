-- ARGV: for each connection the user's prefix, the connection, and the processes that may hold it.
for index = 1, #ARGV, 3 do
  local prefix, conn, processes = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  local from = prefix .. conn
  local before = first_of(prefix)
  for _, member in ipairs(redis.call('ZRANGEBYLEX', routes, '[' .. from, '[' .. from .. '\255')) do
    if has(processes, process_of(member, prefix)) then remove(prefix, member) end
  end
  count_user(prefix, before)
end
return 0
