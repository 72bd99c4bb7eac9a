-- ARGV[2..3]: gateway, epoch.
local held = held_by(ARGV[2])
if held and held.epoch == ARGV[3] then bury(ARGV[2], held) end
return 1
