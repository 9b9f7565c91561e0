-- The push-stream module's table of workers: kept right, and read.
--
-- The module (0.6.0, read in its source) keeps the pid of each worker in shared memory, and a
-- worker takes its own back when it ends. One that is killed or crashes while it ends, after a
-- reload, does not, and nobody takes its place at once. At the next reload the module closes the
-- channel it has just made for the new worker of that place, which then ends with "fatal code 2"
-- and is not started again: each reload costs a worker, until none is left (seen). Such places are
-- freed here: by the workers in time, and by the master at each reload, before the module looks at
-- them.
--
-- Also the successor of a worker that was killed in the moment of a reload finds its channel
-- closed, and ends in the same way. Nobody needs that one: the new workers are there.
--
-- When it publishes, the module reads a channel's workers without a lock. Workers that begin, and
-- those that are told of a reload, take entries out of there and free them: a publisher in that
-- moment crashes (seen, once in several hundred reloads under load). So nobody publishes from
-- before a reload or a new worker changes anything (pause()) until the table names no more workers
-- than there are, which says that the old ones are through.
--
-- Phases: load() init, pause() and watch() init_worker, wait() access.

local ffi = require("ffi")

local locks = require("pushgate.engine.push_stream.locks")
local monotonic = require("pushgate.monotonic")
local processes = require("pushgate.processes")

local state = ngx.shared.pushgate_state

ffi.cdef([[
typedef struct { int pid[1024]; } pushgate_places_t;
typedef struct { pushgate_places_t *data; } pushgate_places_zone_t;
extern long ngx_process_slot;
extern pushgate_places_zone_t *ngx_http_push_stream_global_shm_zone;
int poll(void *polls, unsigned long count, int timeout);
]])

local C = ffi.C

-- Longer than a worker takes to begin; and what a publisher that is at it needs to finish.
local PAUSE_SECONDS = 0.5
local FINISH_MS = 50
-- Then it publishes all the same: a worker may have been stopped.
local WAIT_SECONDS = 3
local TRY_SECONDS = 0.01
local LOOK_SECONDS = 1
local PLACES = 1024

local _M = {}

-- By place, the pid that was not alive at the last look. A worker that takes the place of one that
-- died does so within milliseconds: what is there at two looks is nobody's.
local suspects = {}

-- Frees the place of a pid that is not alive, unless somebody has taken it meanwhile.
local function free(places, place, pid)
    if places.pid[place] == pid then
        places.pid[place] = -1
        ngx.log(ngx.WARN, "freed the engine's place of worker ", pid, ", which is gone")
    end
end

-- Where the table is.
function _M.address()
    return C.ngx_http_push_stream_global_shm_zone.data
end

-- Whether the table is where this file has it, shown by this worker's own place; whether it was
-- told that it is not.
local is_proved, has_told_of_table = false, false

-- Nothing is written before a worker has seen its own place. The master, which has none, goes by
-- that.
local function prove(places)
    if is_proved then
        return true
    end
    is_proved = places.pid[C.ngx_process_slot] == ngx.worker.pid()
    if is_proved then
        state:set("places:proved", true)
    elseif not has_told_of_table then
        has_told_of_table = true
        ngx.log(ngx.ERR, "the push-stream module's table of workers is not laid out as places.lua ",
            "has it, so reloads may cost workers; use Debian 13's")
    end
    return is_proved
end

local function look(premature)
    if premature then
        return
    end
    -- Of a gateway at rest, which nobody asks for anything, too.
    locks.open()
    local places = C.ngx_http_push_stream_global_shm_zone.data
    for place = 0, prove(places) and PLACES - 1 or -1 do
        local pid = places.pid[place]
        if pid <= 0 or processes.is_alive(pid) then
            suspects[place] = nil
        elseif suspects[place] ~= pid then
            suspects[place] = pid
        else
            free(places, place, pid)
            suspects[place] = nil
        end
    end
end

-- Has everybody publish nothing for a moment, and returns when nobody does. Blocks.
function _M.pause()
    state:set("places:pause", monotonic.now() + PAUSE_SECONDS)
    C.poll(nil, 0, FINISH_MS)
end

local function is_paused()
    return monotonic.now() < (state:get("places:pause") or 0)
end

-- Of workers that live: a dead one changes nothing any more.
local function count()
    local places = C.ngx_http_push_stream_global_shm_zone.data
    local found = 0
    for place = 0, PLACES - 1 do
        local pid = places.pid[place]
        if pid > 0 and processes.is_alive(pid) then
            found = found + 1
        end
    end
    return found
end

-- Whether nothing was going on when this worker last looked; whether it has told that it waited
-- in vain.
local is_calm, has_told = false, false

-- Returns when workers have begun and ended, so that publishing is safe; or in WAIT_SECONDS.
function _M.wait()
    if is_paused() then
        is_calm = false
    elseif is_calm then
        return
    end
    local until_time = monotonic.now() + WAIT_SECONDS
    while is_paused() or count() > ngx.worker.count() do
        if monotonic.now() >= until_time then
            if not has_told then
                has_told = true
                ngx.log(ngx.WARN, "workers begin or end without an end; publishes all the same")
            end
            break
        end
        ngx.sleep(TRY_SECONDS)
    end
    is_calm = true
end

-- In the master, which alone gives places to workers.
function _M.load()
    local places = C.ngx_http_push_stream_global_shm_zone.data
    for place = 0, state:get("places:proved") and PLACES - 1 or -1 do
        local pid = places.pid[place]
        if pid > 0 and not processes.is_alive(pid) then
            free(places, place, pid)
        end
    end
    _M.pause()
end

-- Once locks.lua has found its locks.
function _M.watch()
    -- The first look at once, when the module has entered this worker: the next reload may be near.
    local ok, err = ngx.timer.at(0, look)
    if ok then
        ok, err = ngx.timer.every(LOOK_SECONDS, look)
    end
    if not ok then
        ngx.log(ngx.ERR, "could not start looking after the engine's places: ", err)
    end
end

return _M
