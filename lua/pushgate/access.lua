-- The way of a request into its stream: each step lets it pass or answers it.
--
-- Phase: access of locations/subscribe.conf. A request that passes all of them is the engine's.

local answer = require("pushgate.answer")
local channels = require("pushgate.channels")
local config = require("pushgate.config")
local doors = require("pushgate.doors")
local engine = require("pushgate.engine")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local limits = require("pushgate.limits")
local refusal = require("pushgate.refusal")
local stay = require("pushgate.stay")
local subscribe = require("pushgate.subscribe")

local PREFIX = "/sub/"
local ALLOWED = "GET, OPTIONS"
-- When something behind the gateway is away, everybody comes back: not all at once.
local AWAY_MIN_MS, AWAY_MAX_MS = 5000, 15000
-- An old worker, at a reload, takes nobody in; a new one is there already.
local OLD_MIN_MS, OLD_MAX_MS = 100, 1000

local _M = {}

-- Lets pages of the configured origins read the answer. Other pages get none of these headers.
local function allow_origin()
    local origin = ngx.req.get_headers()["Origin"]
    ngx.header["Vary"] = "Origin"
    if type(origin) ~= "string" or not config.get().origins[origin] then
        return false
    end
    ngx.header["Access-Control-Allow-Origin"] = origin
    ngx.header["Access-Control-Allow-Credentials"] = "true"
    return true
end

local function preflight(is_allowed)
    if is_allowed then
        ngx.header["Access-Control-Allow-Methods"] = ALLOWED
        ngx.header["Access-Control-Allow-Headers"] = "Last-Event-ID, Cache-Control"
        ngx.header["Access-Control-Max-Age"] = "86400"
    end
    ngx.header["Allow"] = ALLOWED
    ngx.status = 204
    return ngx.exit(204)
end

-- The position the client brings along: header before query; nil when there is none.
local function cursor_text()
    local header = ngx.req.get_headers()["Last-Event-ID"]
    if type(header) == "table" then
        header = header[#header]
    end
    if type(header) == "string" and header ~= "" then
        return header
    end
    local query = ngx.var.arg_last_event_id
    if query and query ~= "" then
        return ngx.unescape_uri(query)
    end
    return nil
end

local function come_back_later(err)
    ngx.log(ngx.ERR, "a subscriber is asked to come back: ", err)
    return refusal.for_now("unavailable", AWAY_MIN_MS, AWAY_MAX_MS)
end

function _M.run()
    local is_allowed = allow_origin()
    local method = ngx.req.get_method()
    if method == "OPTIONS" then
        return preflight(is_allowed)
    end
    if method ~= "GET" then
        return answer.method(ALLOWED)
    end
    -- As it came: nginx' own form has %2F already turned into a slash.
    local path = ngx.var.request_uri:match("^[^?]*")
    if path:sub(1, #PREFIX) ~= PREFIX then
        return refusal.for_good(400, "address", "write the address as " .. PREFIX .. "<channel>")
    end
    local requested, sentence = channels.parse_path(path:sub(#PREFIX + 1), ngx.unescape_uri)
    if not requested then
        return refusal.for_good(400, "address", sentence)
    end
    local identity = doors.open(requested)
    ngx.header["Content-Type"] = "text/event-stream; charset=utf-8"
    ngx.header["X-Accel-Buffering"] = "no"
    if not generation.is_current() then
        refusal.book("reload")
        ngx.print(frames.retry(math.random(OLD_MIN_MS, OLD_MAX_MS)), "\n")
        return ngx.exit(ngx.HTTP_OK)
    end
    limits.admit(identity)
    local ok, err = engine.get().ready()
    if not ok then
        return come_back_later(err)
    end
    local subscriber
    subscriber, err = subscribe.prepare(requested, cursor_text())
    if not subscriber then
        return come_back_later(err)
    end
    stay.begin(subscriber, identity)
    engine.get().admit(subscriber)
end

return _M
