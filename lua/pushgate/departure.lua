-- What is settled when a request for a stream has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf.

local audit = require("pushgate.audit")
local config = require("pushgate.config")
local counters = require("pushgate.counters")
local limits = require("pushgate.limits")

-- Bytes of a user's name in the access log.
local MOST_USER = 128

local _M = {}

-- Why the stream ended: what the gateway says of it; or the engine has ended the response in order,
-- which it does by itself at a reload and a stop alone; else the client went, or its connection
-- broke.
local function reason_of(subscriber)
    return subscriber.departed or (ngx.var.request_completion == "OK" and "exit") or "client"
end

-- Hands the access log what it says of a request for a stream.
local function log_access(subscriber, reason)
    local var = ngx.var
    var.pushgate_reason = reason
    if subscriber then
        var.pushgate_frames = subscriber.passed + subscriber.replayed
        var.pushgate_resumed = subscriber.resumed and "yes" or ""
        local identity = subscriber.identity
        var.pushgate_user = identity and identity.sub and identity.sub:sub(1, MOST_USER) or ""
    end
end

function _M.run()
    limits.release()
    local subscriber, reason = ngx.ctx.subscriber, ngx.ctx.refused or ""
    if subscriber and subscriber.started then
        reason = reason_of(subscriber)
        audit.finish(subscriber)
        counters.add("streams_ended")
        counters.add("departures:" .. reason)
    elseif subscriber then
        -- The engine did not take it.
        reason = "engine"
        counters.add("refusals:engine")
    end
    if config.get().has_access_log then
        log_access(subscriber, reason)
    end
    if ngx.worker.exiting() then
        counters.flush_if_due()
    end
end

return _M
