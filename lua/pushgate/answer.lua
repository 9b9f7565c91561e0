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

-- The same where users of the push-stream module look for it too: its own sentence, when it has one
-- for the case, in its own header.
function _M.explained(status, text, modules_own)
    ngx.header["X-Nginx-PushStream-Explain"] = modules_own or text
    return _M.sentence(status, text)
end

-- Refuses the method; `allowed` is the Allow header.
function _M.method(allowed)
    ngx.header["Allow"] = allowed
    return _M.sentence(405, "method " .. ngx.req.get_method() .. " is not allowed here; use "
        .. allowed)
end

-- Answers with a text of some type.
function _M.text(status, content_type, text)
    ngx.status = status
    ngx.header["Content-Type"] = content_type
    ngx.header["Content-Length"] = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end

function _M.json(status, text)
    return _M.text(status, "application/json", text)
end

return _M
