-- What happens when nginx starts: settings are read, workers bound to their master, the tail begun.
--
-- Phases: load() init, start() init_worker, finish() exit_worker.

local ffi = require("ffi")

local config = require("pushgate.config")
local connections = require("pushgate.connections")
local counters = require("pushgate.counters")
local deliveries = require("pushgate.deliveries")
local engine = require("pushgate.engine")
local generation = require("pushgate.generation")
local lag = require("pushgate.lag")
local leases = require("pushgate.leases")
local scripts = require("pushgate.scripts")
local tail = require("pushgate.tail")
local token_keys = require("pushgate.token_keys")

ffi.cdef("int prctl(int option, unsigned long a, unsigned long b, unsigned long c, "
    .. "unsigned long d); int getppid(void);")

local PR_SET_PDEATHSIG = 1
local SIGKILL = 9

local GARBAGE_PAUSE = 120

local _M = {}

local function load_files()
    local settings = config.load()
    if settings.token_keys ~= "" then
        token_keys.load(settings.token_keys)
    end
    engine.get()
    scripts.load({ "epoch", "move_epoch", "publish", "delete_channel" })
end

-- In the master, so that a wrong setting or a missing file stops the start.
--
-- It must not stop a reload: by now the engine has begun its memory anew, and the old workers,
-- which would go on, would hand nothing over any more. So new ones go on with what there was, and
-- if they cannot, /readyz says so.
function _M.load()
    local is_reload = generation.is_reload()
    local ok, why = pcall(load_files)
    if not ok and not is_reload then
        error(why, 0)
    end
    lag.set_reload_trouble(not ok and why)
    generation.load()
    if ok then
        engine.get().load()
    end
end

-- Workers that outlive a killed master would hold the port against its successor.
local function die_with_master()
    if ffi.C.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) ~= 0 then
        ngx.log(ngx.ERR, "could not ask the kernel to end this worker with its master")
    elseif ffi.C.getppid() == 1 and require("ngx.process").get_master_pid() ~= 1 then
        os.exit(1)
    end
end

function _M.start()
    die_with_master()
    generation.start()
    -- Most of what is kept is kept for as long as its stream lasts: twice as much need not be there
    -- before the rest is looked through.
    collectgarbage("setpause", GARBAGE_PAUSE)
    ngx.shared.pushgate_state:add("started_at", ngx.now())
    math.randomseed(ngx.now() * 1000 % 2147483647 + ngx.worker.pid() * 7919)
    engine.get().start()
    counters.before_flush(function()
        deliveries.set_clock(lag.clock())
    end)
    counters.start()
    leases.start()
    connections.start()
    tail.start()
end

function _M.finish()
    counters.finish()
end

return _M
