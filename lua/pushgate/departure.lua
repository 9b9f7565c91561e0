-- What is settled when a request for a stream has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf.

local audit = require("pushgate.audit")
local counters = require("pushgate.counters")
local limits = require("pushgate.limits")

local _M = {}

-- Why the stream ended: what the gateway says of it; or the engine has ended the response in order,
-- which it does by itself at a reload and a stop alone; else the client went, or its connection
-- broke.
local function reason_of(subscriber)
    return subscriber.departed or (ngx.var.request_completion == "OK" and "exit") or "client"
end

function _M.run()
    limits.release()
    local subscriber = ngx.ctx.subscriber
    if subscriber and subscriber.started then
        local reason = reason_of(subscriber)
        audit.finish(subscriber)
        counters.add("streams_ended")
        counters.add("departures:" .. reason)
    elseif subscriber then
        -- The engine did not take it.
        counters.add("refusals:engine")
    end
    if ngx.worker.exiting() then
        counters.flush_if_due()
    end
end

return _M
