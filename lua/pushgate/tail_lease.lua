-- Which worker is the tail: one at a time, by a lease in shared memory that it renews with every
-- turn.
--
-- Who finds that the holder is dead takes the lease at once: only a holder that lives and does
-- nothing (stopped, or frozen) is waited for. Of several who find it, one takes it. Should two take
-- it all the same, or a stopped one wake up, it does no harm: what each hands over goes on from
-- what was handed over, and subscribers drop repeats by their id (tail.lua).
--
-- Shared dict pushgate_state:
--   tail:lease      the holder's pid
--   tail:heir <pid> somebody has taken the lease of this dead holder
--
-- Phases: timers.

local processes = require("pushgate.processes")

local state = ngx.shared.pushgate_state
local tonumber = tonumber

local LEASE_SECONDS = 3

local _M = {}

local function own()
    return tostring(ngx.worker.pid())
end

-- Takes or renews the lease. Returns whether this worker is the tail.
function _M.hold()
    if state:add("tail:lease", own(), LEASE_SECONDS) then
        return true
    end
    local holder = state:get("tail:lease")
    if holder and holder ~= own()
        and (processes.is_alive(tonumber(holder))
            or not state:add("tail:heir " .. holder, true, LEASE_SECONDS))
    then
        return false
    end
    return (state:set("tail:lease", own(), LEASE_SECONDS))
end

-- Gives the lease back, so that nobody waits for its end.
function _M.give_up()
    if state:get("tail:lease") == own() then
        state:delete("tail:lease")
    end
end

return _M
