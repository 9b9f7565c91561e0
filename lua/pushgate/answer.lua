-- Answers that are not a stream: one sentence in plain text, or JSON.
--
-- Phases: access, content. Each ends the request.

local CONDITIONS = {
    { variable = "http_if_match", header = "If-Match" },
    { variable = "http_if_none_match", header = "If-None-Match" },
    { variable = "http_if_modified_since", header = "If-Modified-Since" },
    { variable = "http_if_unmodified_since", header = "If-Unmodified-Since" },
}

local _M = {}

-- Nothing here is sent on conditions. nginx would answer one with 412 or 304 after all has been
-- done, and when that is in the middle of an engine's work, the worker may crash.
function _M.drop_conditions()
    for i = 1, #CONDITIONS do
        if ngx.var[CONDITIONS[i].variable] then
            ngx.req.clear_header(CONDITIONS[i].header)
        end
    end
end

-- Answers `status` with one sentence.
function _M.sentence(status, text)
    _M.drop_conditions()
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
    _M.drop_conditions()
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
