-- Leases of gateways' processes: KEYS[1] a record for each gateway, KEYS[2] the version of them all, KEYS[3] the processes that are
-- gone and whose bindings are still to be removed. A record is
--   epoch (8 bytes), process (5; 0: none), end of the lease (6, unix ms), the lease as it was given
-- Numbers of processes come from the clock, as milliseconds since 2020: they grow, also after the server has lost everything. The version
-- is the last one given out.
-- ARGV[1]: the time in ms, or nothing for the server's.
local leases, version, gone = KEYS[1], KEYS[2], KEYS[3]
local YEAR_2020_MS = 1577836800000
local server_time = redis.call('TIME')
local server_ms = server_time[1] * 1000 + math.floor(server_time[2] / 1000)
local now_ms = tonumber(ARGV[1]) or server_ms

local function next_version()
  local next = math.max(server_ms - YEAR_2020_MS, (tonumber(redis.call('GET', version)) or 0) + 1)
  redis.call('SET', version, string.format('%.0f', next))
  return next
end

local function parse(record)
  local high, low, process, until_ms = struct.unpack('>I4I4I5I6', record)
  return { epoch = string.sub(record, 1, 8), high = high, low = low, process = process, until_ms = until_ms }
end

local function held_by(gateway)
  local record = redis.call('HGET', leases, gateway)
  return record and parse(record)
end

local function runs(held)
  return held.process ~= 0 and held.until_ms > now_ms
end

local function write(gateway, epoch, process, lease_ms, lease)
  local until_ms = now_ms + tonumber(lease_ms)
  redis.call('HSET', leases, gateway, epoch .. struct.pack('>I5I6', process, until_ms) .. lease)
end

-- The process has no lease any more.
local function bury(gateway, held)
  if held.process == 0 then return end
  redis.call('SADD', gone, struct.pack('>I5', held.process))
  redis.call('HSET', leases, gateway, held.epoch .. struct.pack('>I5I6', 0, 0))
  next_version()
end

local function is_later(a, b)
  return a.high > b.high or (a.high == b.high and a.low > b.low)
end
