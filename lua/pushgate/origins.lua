-- Whose pages may use this gateway.
--
-- Phases: access, content.

local config = require("pushgate.config")

local lower = string.lower
local match = string.match

local _M = {}

-- Lets pages of the configured origins read the answer. Other pages get none of these headers.
-- Returns whether `origin` is one of them.
function _M.allow(origin)
    ngx.header["Vary"] = "Accept, Origin"
    if not origin or not config.get().origins[origin] then
        return false
    end
    ngx.header["Access-Control-Allow-Origin"] = origin
    ngx.header["Access-Control-Allow-Credentials"] = "true"
    ngx.header["Access-Control-Expose-Headers"] = "Retry-After"
    return true
end

-- Whether it is the gateway's own: the host the client asked for, whatever TLS stands in front.
function _M.is_own(origin)
    local host = match(origin, "^https?://([^/%s]+)$")
    return host ~= nil and lower(host) == lower(ngx.var.http_host or "")
end

return _M
