-- How long a subscriber may stay.
--
-- Phases: begin() access; reason_to_leave() wherever the engine sends from. A subscriber who leaves
-- comes back after its own `retry:` and resumes by its cursor.

local config = require("pushgate.config")
local misses = require("pushgate.misses")
local revocation = require("pushgate.revocation")

local _M = {}

-- When a stream that begins now is too old: drawn from the second half of the greatest age, so that
-- those who came together do not leave together. A client that comes back may meet another gateway,
-- one that was started since.
local function end_of_age_ms()
    local most = config.get().max_age_seconds
    if most == 0 then
        return math.huge
    end
    return (ngx.now() + most * (1 + math.random()) / 2) * 1000
end

-- Called once for a subscriber that is let in. `identity` is what doors.open() returned.
-- Sets `leaves_ms`, the time (milliseconds since 1970) at which it leaves by itself: no frame of a
-- later time is passed to it.
function _M.begin(subscriber, identity)
    subscriber.identity = identity
    subscriber.leaves_ms = end_of_age_ms()
    if identity and #identity.closed > 0 and config.get().cut_at_expiry then
        subscriber.expires_ms = identity.ends_at * 1000
        subscriber.leaves_ms = math.min(subscriber.leaves_ms, subscriber.expires_ms)
    end
end

-- Why the subscriber must leave now, one of a few fixed words; nil when it may stay. Asked at every
-- ping, at every frames.LOOK, and when a frame comes after `leaves_ms`.
function _M.reason_to_leave(subscriber)
    local identity = subscriber.identity
    if identity and not revocation.may_stay(identity) then
        return "revoked"
    end
    local now_ms = ngx.now() * 1000
    if subscriber.expires_ms and now_ms >= subscriber.expires_ms then
        return "expired"
    end
    if now_ms >= subscriber.leaves_ms then
        return "age"
    end
    local missed = misses.look(subscriber)
    if missed then
        ngx.log(ngx.ERR, "a stream of ", table.concat(subscriber.names, " "), " lacks a frame ",
            missed == "gap" and "before " or "behind ",
            ("%.0f-%.0f"):format(subscriber.ms, subscriber.seq),
            missed == "gap" and "; it is told and begins anew" or "; it resumes")
    end
    return missed
end

return _M
