-- How a client that does not get its stream is told. Each refusal has a reason, one of a few fixed
-- words, by which it is counted.
--
-- Phase: access. Each ends the request. A browser's EventSource never comes back after anything but
-- 200: a 4xx is for what it must not repeat, a stream that ends at once for what it may. Who polls
-- (ngx.ctx.polls) can read a status, so there it is a 503.

local answer = require("pushgate.answer")
local config = require("pushgate.config")
local counters = require("pushgate.counters")
local frames = require("pushgate.sse.frames")

local _M = {}

-- Counts a refusal that is answered elsewhere.
function _M.book(reason)
    counters.add("refusals:" .. reason)
    if config.get().has_access_log then
        ngx.var.pushgate_reason = reason
    end
end

-- Must not be repeated as it is: one sentence.
function _M.for_good(status, reason, sentence)
    _M.book(reason)
    return answer.sentence(status, sentence)
end

-- May be repeated after a time drawn from `least_ms` to `most_ms`, so that not all come at once.
function _M.for_now(reason, least_ms, most_ms)
    _M.book(reason)
    local wait_ms = math.random(least_ms, most_ms)
    if ngx.ctx.polls then
        ngx.header["Retry-After"] = math.ceil(wait_ms / 1000)
        return answer.json(503, ('{"reason":"%s","retry_ms":%d}\n'):format(reason, wait_ms))
    end
    ngx.header["Content-Type"] = "text/event-stream; charset=utf-8"
    ngx.header["X-Accel-Buffering"] = "no"
    ngx.print(frames.refusal(wait_ms, reason))
    return ngx.exit(ngx.HTTP_OK)
end

return _M
