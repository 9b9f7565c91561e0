-- Which reload this worker belongs to, and whether a newer one has begun.
--
-- Why it matters: for a tenth of a second nginx runs old and new workers side by side. A message
-- that an old worker publishes is queued for the new workers, but the old one has no socket to
-- wake them with; and the module wakes a worker only for the first message of its queue. Such a
-- worker would never again be woken (seen: "sendmsg() failed (88: Socket operation on
-- non-socket)"). So old workers publish nothing once new ones have begun, and new workers take
-- no subscriber until what an old one was just publishing is through.
--
-- Phases: is_reload() and load() init, start() init_worker, check() and settle() access,
-- is_current() all.

local monotonic = require("pushgate.monotonic")

local state = ngx.shared.pushgate_state

local SETTLE_SECONDS = 0.5

local _M = {}

-- In the master; every worker forked from it has the same. Numbers are drawn here, so that a reload
-- that overtakes the workers of the one before it has another one. They count from when a worker
-- has one, because a reload may yet fail after this.
local mine = 1
local began_at = 0

-- Whether workers of this master have begun before.
function _M.is_reload()
    return state:get("generation") ~= nil
end

function _M.load()
    mine = state:incr("generations", 1, 0)
end

function _M.start()
    if (state:get("generation") or 0) < mine then
        state:set("generation", mine)
    end
    began_at = monotonic.now()
end

-- Whether this worker may take subscribers in and hand frames over.
function _M.is_current()
    return state:get("generation") == mine and not ngx.worker.exiting()
end

-- Waits until no old worker can still be publishing.
function _M.settle()
    if mine == 1 then
        return
    end
    local left = began_at + SETTLE_SECONDS - monotonic.now()
    if left > 0 then
        ngx.sleep(math.max(left, 0.001))
    end
end

-- Refuses to publish in an old worker: the tail comes again, and meets a new one.
function _M.check()
    if not _M.is_current() then
        ngx.header["Connection"] = "close"
        return ngx.exit(503)
    end
end

return _M
