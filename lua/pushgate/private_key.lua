-- The key of the private TCP listener: "Authorization: Bearer <PUSHGATE_PRIVATE_KEY>".
--
-- Phase: access of servers/private_tcp.conf. The unix socket needs none: who may open it, may.

local answer = require("pushgate.answer")
local config = require("pushgate.config")

local _M = {}

function _M.check()
    local given = ngx.req.get_headers()["Authorization"]
    given = type(given) == "string" and given:match("^[Bb]earer (.+)$")
    local key = config.get().private_key
    -- Digests are compared, so that the time it takes says nothing about the key.
    if key == "" or not given or ngx.sha1_bin(given) ~= ngx.sha1_bin(key) then
        ngx.header["WWW-Authenticate"] = "Bearer"
        return answer.sentence(401, "send the private key: Authorization: Bearer <key>")
    end
end

return _M
