-- The way of a request into its stream: each step lets it pass or answers it.
--
-- Phases: choose() server rewrite, run() access of locations/subscribe.conf and polling.conf. A
-- request that passes all of them is the engine's, or polling's.

local accept = require("pushgate.accept")
local answer = require("pushgate.answer")
local awaited = require("pushgate.awaited")
local channels = require("pushgate.channels")
local connections = require("pushgate.connections")
local doors = require("pushgate.doors")
local engine = require("pushgate.engine")
local frames = require("pushgate.sse.frames")
local generation = require("pushgate.generation")
local limits = require("pushgate.limits")
local origins = require("pushgate.origins")
local polling = require("pushgate.polling")
local query = require("pushgate.query")
local refusal = require("pushgate.refusal")
local stay = require("pushgate.stay")
local subscribe = require("pushgate.subscribe")

local PREFIX = "/sub/"
local POLLING = "/polling"
local ALLOWED = "GET, OPTIONS"
-- When something behind the gateway is away, everybody comes back: not all at once.
local AWAY_MIN_MS, AWAY_MAX_MS = 5000, 15000
-- An old worker, at a reload, takes nobody in; a new one is there already.
local OLD_MIN_MS, OLD_MAX_MS = 100, 1000

local _M = {}

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

-- The position the client brings along: header before query; nil when there is none. nginx joins
-- several headers with a comma, and that is no position; of several arguments the first counts.
local function cursor_text()
    local header = ngx.var.http_last_event_id
    if header and header ~= "" then
        return header
    end
    local asked = ngx.var.arg_last_event_id
    if asked and asked ~= "" then
        return ngx.unescape_uri(asked)
    end
    return nil
end

local function come_back_later(err)
    ngx.log(ngx.ERR, "a subscriber is asked to come back: ", err)
    return refusal.for_now("unavailable", AWAY_MIN_MS, AWAY_MAX_MS)
end

-- One address, two locations: who would rather have JSON polls.
function _M.choose()
    query.run()
    if ngx.var.uri:sub(1, #PREFIX) == PREFIX
        and accept.prefers_json(ngx.req.get_headers()["Accept"])
    then
        ngx.ctx.polls = true
        ngx.req.set_uri(POLLING)
    end
end

local function has_body()
    local length = ngx.var.http_content_length
    return (length and length ~= "0") or ngx.var.http_transfer_encoding
end

local function come_back_soon()
    refusal.book("reload")
    ngx.print(frames.retry(math.random(OLD_MIN_MS, OLD_MAX_MS)), "\n")
    return ngx.exit(ngx.HTTP_OK)
end

-- Hands a subscriber of subscribe.prepare() to the engine, unless its stream ends before it begins.
local function let_in(subscriber)
    subscriber.joining.is_stream = true
    subscriber.receipts = awaited.promised(ngx.var.arg_receipts)
    if subscriber.joining.ends then
        ngx.ctx.subscriber = subscriber
        ngx.print((subscribe.begin(subscriber, "")))
        return ngx.exit(ngx.HTTP_OK)
    end
    local ok, err = engine.get().ready()
    if not ok then
        return come_back_later(err)
    end
    -- What was waited for may have taken a reload.
    if not generation.is_current() then
        return come_back_soon()
    end
    ok, err = connections.enter(subscriber)
    if not ok then
        return come_back_later(err)
    end
    ngx.ctx.subscriber = subscriber
    engine.get().admit(subscriber)
end

-- What the request names: a list of {name, backlog}. Answers a malformed request itself.
local function channels_asked()
    -- nil for one like 1.10, which nginx takes for 1.1.
    if (ngx.req.http_version() or 1.1) < 1 then
        return refusal.for_good(400, "request", "use HTTP/1.1")
    end
    if has_body() then
        return refusal.for_good(413, "size", "a stream is asked for without a body")
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
    return requested
end

-- Begins the stream, or the poll, of a client that has been admitted. A poll needs no engine: an
-- old worker can still answer it, and it takes no memory of the module's.
local function begin(requested, identity, polls)
    if not polls then
        local has_room, why = engine.get().has_room(#requested)
        if not has_room then
            return come_back_later(why)
        end
    end
    local subscriber, err = subscribe.prepare(requested, cursor_text())
    if not subscriber and not polls and not generation.is_current() then
        -- nginx closes the connections to Redis of a worker that ends.
        return come_back_soon()
    end
    if not subscriber then
        return come_back_later(err)
    end
    stay.begin(subscriber, identity)
    if polls then
        return polling.run(subscriber)
    end
    return let_in(subscriber)
end

function _M.run()
    local origin = ngx.var.http_origin
    local is_allowed = origins.allow(origin)
    local polls = ngx.ctx.polls
    local method = ngx.req.get_method()
    if method == "OPTIONS" then
        return preflight(is_allowed)
    end
    if method ~= "GET" then
        refusal.book("method")
        return answer.method(ALLOWED)
    end
    answer.drop_conditions()
    local requested = channels_asked()
    limits.arrive()
    local identity = doors.open(requested, origin and not is_allowed)
    if polls then
        ngx.header["Cache-Control"] = "no-store"
    else
        ngx.header["Content-Type"] = "text/event-stream; charset=utf-8"
        ngx.header["X-Accel-Buffering"] = "no"
    end
    if not polls and not generation.is_current() then
        return come_back_soon()
    end
    limits.admit(identity)
    local done, err = pcall(begin, requested, identity, polls)
    if not done then
        -- Raised further, it would lead to refused.lua, and what was taken would never be given
        -- back: an internal redirect forgets ngx.ctx.
        return come_back_later("could not begin a stream: " .. tostring(err))
    end
end

return _M
