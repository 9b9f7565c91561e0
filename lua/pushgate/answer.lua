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

-- Refuses the method; `allowed` is the Allow header.
function _M.method(allowed)
    ngx.header["Allow"] = allowed
    return _M.sentence(405, "method " .. ngx.req.get_method() .. " is not allowed here; use "
        .. allowed)
end

function _M.json(status, text)
    _M.drop_conditions()
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.header["Content-Length"] = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end

return _M
