-- ARGV[2..5]: gateway, epoch, milliseconds, lease. Answers 0 if this process has no lease.
local held = held_by(ARGV[2])
if not held or held.epoch ~= ARGV[3] or not runs(held) then return 0 end
write(ARGV[2], ARGV[3], held.process, ARGV[4], ARGV[5])
return 1
