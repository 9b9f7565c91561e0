-- Answers that are not a stream: one sentence in plain text, or JSON.
--
-- Phases: access, content. Each ends the request.

local _M = {}

-- Answers `status` with one sentence.
function _M.sentence(status, text)
    ngx.status = status
    ngx.header["Content-Type"] = "text/plain; charset=utf-8"
    ngx.header["Content-Length"] = #text + 1
    ngx.say(text)
    return ngx.exit(ngx.HTTP_OK)
end

-- Refuses the method; `allowed` is the Allow header.
function _M.method(allowed)
    ngx.header["Allow"] = allowed
    return _M.sentence(405, "method " .. ngx.req.get_method() .. " is not allowed here; use "
        .. allowed)
end

function _M.json(status, text)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end

return _M
