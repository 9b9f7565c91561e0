-- The clock for durations: nobody puts it back or forward, and all processes of the machine see the
-- same. ngx.now() is the wall clock; what waits for that waits for hours when it is put back.
--
-- Phases: all.

local ffi = require("ffi")

ffi.cdef([[
typedef struct { long seconds; long nanoseconds; } pushgate_time_t;
int clock_gettime(int clock, pushgate_time_t *at);
]])

local C = ffi.C
local CLOCK_MONOTONIC = 1

local _M = {}

local at = ffi.new("pushgate_time_t")

-- Seconds since some moment.
function _M.now()
    C.clock_gettime(CLOCK_MONOTONIC, at)
    return tonumber(at.seconds) + tonumber(at.nanoseconds) / 1e9
end

return _M
