-- Frees the places of workers that are gone in the push-stream module's table of workers.
--
-- The module (0.6.0, read in its source) keeps the pid of each worker in shared memory, and a
-- worker takes its own back when it ends. One that is killed or crashes while it ends, after a
-- reload, does not, and nobody takes its place at once. At the next reload the module closes the
-- channel it has just made for the new worker of that place, which then ends with "fatal code 2"
-- and is not started again: each reload costs a worker, until none is left (seen).
--
-- Phases: start() init_worker.

local ffi = require("ffi")

ffi.cdef([[
typedef struct { int pid[1024]; } pushgate_places_t;
typedef struct { pushgate_places_t *data; } pushgate_places_zone_t;
extern pushgate_places_zone_t *ngx_http_push_stream_global_shm_zone;
int kill(int pid, int signal);
]])

local C = ffi.C

local LOOK_SECONDS = 1
local PLACES = 1024
local ESRCH = 3

local _M = {}

-- By place, the pid that was not alive at the last look. A worker that takes the place of one that
-- died does so within milliseconds: what is there at two looks is nobody's.
local suspects = {}

local function is_alive(pid)
    return C.kill(pid, 0) == 0 or ffi.errno() ~= ESRCH
end

local function look(premature)
    if premature then
        return
    end
    local places = C.ngx_http_push_stream_global_shm_zone.data
    for place = 0, PLACES - 1 do
        local pid = places.pid[place]
        if pid <= 0 or is_alive(pid) then
            suspects[place] = nil
        elseif suspects[place] ~= pid then
            suspects[place] = pid
        else
            places.pid[place] = -1
            suspects[place] = nil
            ngx.log(ngx.WARN, "freed the engine's place of worker ", pid, ", which is gone")
        end
    end
end

function _M.start()
    local ok, err = ngx.timer.every(LOOK_SECONDS, look)
    if not ok then
        ngx.log(ngx.ERR, "could not start looking after the engine's places: ", err)
    end
end

return _M
