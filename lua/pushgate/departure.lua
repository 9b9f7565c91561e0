-- What is settled when a request for a stream has ended, however it ended.
--
-- Phase: log of locations/subscribe.conf.

local limits = require("pushgate.limits")

local _M = {}

function _M.run()
    limits.release()
end

return _M
