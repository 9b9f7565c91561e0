-- What is settled when a request for a stream has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf.

local limits = require("pushgate.limits")
local slow_readers = require("pushgate.slow_readers")

local _M = {}

function _M.run()
    local subscriber = ngx.ctx.subscriber
    if subscriber then
        slow_readers.leave(subscriber)
    end
    limits.release()
end

return _M
