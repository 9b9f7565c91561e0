-- Takes the token out of the address before anything can log it: nginx puts the request's first
-- line and its Referer behind everything it, a module or Lua says while it works on the request.
--
-- Phase: server rewrite, the first one that Lua has, of every server. The token is kept in
-- `ngx.ctx.token`; in nginx' own memory stars stand in its place from then on.

local ffi = require("ffi")

local base = require("resty.core.base")
require("resty.core.var")

local find = string.find
local lower = string.lower
local C = ffi.C

local value = ffi.new("char *[1]")
local length = ffi.new("size_t[1]")
local problem = ffi.new("char *[1]")
local STAR = 42

local _M = {}

-- The bytes themselves, not a copy, of what the variable `name` shows; nil when it has none.
local function memory_of(name)
    local lowercase = base.get_string_buf(#name)
    local found = C.ngx_http_lua_ffi_var_get(base.get_request(), name, #name, lowercase, 0,
        value, length, problem)
    if found ~= 0 then
        return nil
    end
    return value[0], tonumber(length[0])
end

-- Writes stars over the value of each `token=` in `text`, which is at `memory`.
local function hide_in(memory, text)
    local at = find(text, "?", 1, true)
    while at do
        local _, name_end, name = find(text, "^([^=&%s]*)=", at + 1)
        if name and lower(ngx.unescape_uri(name)) == "token" then
            local _, value_end = find(text, "^[^&%s]*", name_end + 1)
            ffi.fill(memory + name_end, value_end - name_end, STAR)
        end
        at = find(text, "[&?]", at + 1)
    end
end

local function hide(name)
    local memory, bytes = memory_of(name)
    if memory and bytes > 0 then
        hide_in(memory, ffi.string(memory, bytes))
    end
end

function _M.run()
    if ngx.var.args then
        ngx.ctx.token = ngx.var.arg_token
        -- With HTTP/2 it is not where the first line is.
        hide("request_uri")
    end
    hide("request")
    if ngx.var.http_referer then
        hide("http_referer")
    end
end

return _M
