-- What is settled when a request for a stream or a poll has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf and polling.conf.

local audit = require("pushgate.audit")
local config = require("pushgate.config")
local connections = require("pushgate.connections")
local counters = require("pushgate.counters")
local limits = require("pushgate.limits")

-- Bytes of a user's name in the access log.
local MOST_USER = 128

local _M = {}

-- Why the stream ended: what the gateway says of it; or the worker ends, or the engine has ended
-- the response in order, which it does by itself at a reload and a stop alone; else the client
-- went, or its connection broke.
local function reason_of(subscriber)
    if subscriber.departed then
        return subscriber.departed
    end
    if ngx.worker.exiting() or ngx.var.request_completion == "OK" then
        return "exit"
    end
    return "client"
end

-- Hands the access log what it says of a stream; of a refusal, refusal.lua has.
local function log_access(subscriber, reason)
    local var, identity = ngx.var, subscriber.identity
    var.pushgate_reason = reason
    var.pushgate_frames = subscriber.passed + subscriber.replayed
    var.pushgate_resumed = subscriber.resumed and "yes" or ""
    var.pushgate_user = identity and identity.sub and identity.sub:sub(1, MOST_USER) or ""
end

function _M.run()
    local subscriber = ngx.ctx.subscriber
    if subscriber then
        connections.leave(subscriber)
    end
    limits.release()
    local reason
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
    if subscriber and config.get().has_access_log then
        log_access(subscriber, reason)
    end
    if ngx.worker.exiting() then
        counters.flush_if_due()
    end
end

return _M
