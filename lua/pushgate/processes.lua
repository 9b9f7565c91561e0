-- Whether a process of this machine lives. nginx' workers see each other's pids, in a container
-- too: master and workers are of one pid namespace.
--
-- Phases: all.

local ffi = require("ffi")

ffi.cdef("int kill(int pid, int signal);")

local ESRCH = 3

local _M = {}

-- One that has ended and was not yet waited for by its parent counts as living.
function _M.is_alive(pid)
    return ffi.C.kill(pid, 0) == 0 or ffi.errno() ~= ESRCH
end

return _M
