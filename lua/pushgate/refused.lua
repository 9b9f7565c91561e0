-- What nginx refuses by itself, and what went wrong in a phase of Lua, as one sentence. nginx' own
-- pages would be HTML, and some of its statuses are its own inventions.
--
-- Phase: content of locations/refused.conf. The request may not have been read to its end, or may
-- be none at all: nothing of it is repeated in the answer.

local refusal = require("pushgate.refusal")

local _M = {}

-- By nginx' status: ours, the reason by which it is counted, the sentence.
local ANSWERS = {
    [400] = { 400, "request", "this is not a request that HTTP/1.1 knows" },
    [403] = { 403, "request", "this is not to be had here" },
    [404] = { 404, "address", "nothing is at this address" },
    [405] = { 405, "method", "this method is not taken anywhere here; use GET" },
    [413] = { 413, "size", "the body is larger than is taken here" },
    [414] = { 414, "size", "the address is longer than 8 KB" },
    [431] = { 431, "size", "a header is longer than 8 KB, or all of them are longer than 32 KB" },
    -- These two are the client's fault here: a stranger must not be able to make it look like ours.
    [501] = { 400, "request", "this transfer coding is not known; use chunked or none" },
    [505] = { 400, "request", "this version of HTTP is not known; use HTTP/1.1" },
}
local PLAIN = "this port speaks TLS; use https"
local TROUBLE = "something went wrong here; the gateway's log says what"
local ADVICE_MIN_MS, ADVICE_MAX_MS = 5000, 15000

function _M.run()
    local status = ngx.status
    -- Raises when the body is broken, or its sender gone; then it is nobody's next request either.
    pcall(ngx.req.discard_body)
    if ngx.var.args == "plain" then
        return refusal.for_good(400, "request", PLAIN)
    end
    local known = ANSWERS[status]
    if known then
        if status == 405 then
            ngx.header["Allow"] = "GET"
        end
        return refusal.for_good(known[1], known[2], known[3])
    end
    if status < 500 then
        return refusal.for_good(status, "request", ANSWERS[400][3])
    end
    -- A browser never comes back after a status of 5xx, but its next try may well succeed.
    if (ngx.var.request_uri or ""):find("^/sub/") then
        ngx.status = ngx.HTTP_OK
        return refusal.for_now("trouble", ADVICE_MIN_MS, ADVICE_MAX_MS)
    end
    return refusal.for_good(status, "trouble", TROUBLE)
end

-- Phase: access. In place of the server's own: whoever asks is refused already.
function _M.pass()
end

return _M
