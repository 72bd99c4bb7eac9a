-- ARGV[2..5]: gateway, epoch, milliseconds, lease. Answers 0 if a newer process has a lease that runs: without one, the lower epoch may be the later process, whose clock was set back.
local gateway, epoch = ARGV[2], ARGV[3]
local held = held_by(gateway)
local high, low = struct.unpack('>I4I4', epoch)
if held and runs(held) and is_later(held, { high = high, low = low }) then return 0 end
local process
if held and held.epoch == epoch and runs(held) then
  process = held.process
else
  if held then bury(gateway, held) end
  process = next_version()
end
write(gateway, epoch, process, ARGV[4], ARGV[5])
return 1
