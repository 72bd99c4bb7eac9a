-- Answers the version, the time, and the records with a lease that runs, each after its gateway; and the processes that are gone.
local all = redis.call('HGETALL', leases)
local running = {}
for index = 1, #all, 2 do
  local held = parse(all[index + 1])
  if runs(held) then
    running[#running + 1] = all[index]
    running[#running + 1] = all[index + 1]
  else
    bury(all[index], held)
  end
end
return { tonumber(redis.call('GET', version)) or 0, now_ms, running, redis.call('SMEMBERS', gone) }
