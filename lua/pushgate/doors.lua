-- Who may subscribe to what.
--
-- Phase: access. Channels under a public prefix are for everybody. For others a token is needed
-- (token.lua): `?token=`, or else the cookie `pushgate`. A token in the address was meant for this
-- stream, so it must be good even where none is needed; a cookie comes by itself, so a bad one
-- counts as none there.

local lrucache = require("resty.lrucache")

local channels = require("pushgate.channels")
local config = require("pushgate.config")
local refusal = require("pushgate.refusal")
local revocation = require("pushgate.revocation")
local token = require("pushgate.token")
local token_keys = require("pushgate.token_keys")

-- The revocations are read as soon as the gateway has found Redis. As in access.lua.
local AWAY_MIN_MS, AWAY_MAX_MS = 5000, 15000
-- Verified tokens of this worker, so that who comes back costs no signature check.
local KEPT = 4000

local _M = {}

-- Those verified with `verified_with`, the keys as they were.
local verified, verified_with

-- Verifies a token, or finds that it was. Returns its claims; or nil, a reason and a sentence.
local function claims_of(text)
    local settings = config.get()
    local keys = token_keys.current(settings.token_keys)
    if keys ~= verified_with then
        verified, verified_with = lrucache.new(KEPT), keys
    end
    local claims = verified:get(text)
    if claims then
        local ok, reason, sentence = token.check_time(claims, ngx.now())
        return ok and claims, reason, sentence
    end
    local reason, sentence
    claims, reason, sentence = token.verify(text, keys, settings.token_audience, ngx.now())
    if claims then
        verified:set(text, claims)
    end
    return claims, reason, sentence
end

-- The token the client brings, and whether it is a cookie.
local function brought()
    if config.get().token_keys == "" then
        return nil
    end
    local text = ngx.ctx.token
    if text and text ~= "" then
        return text, false
    end
    text = ngx.var.cookie_pushgate
    return text ~= "" and text or nil, true
end

local function unauthorized(reason, sentence)
    ngx.header["WWW-Authenticate"] = "Bearer"
    return refusal.for_good(401, reason, sentence)
end

-- The requested channels that are not everybody's.
local function closed_among(requested)
    local names = {}
    for _, channel in ipairs(requested) do
        if not channels.has_prefix(channel.name, config.get().public_prefixes) then
            names[#names + 1] = channel.name
        end
    end
    return names
end

-- A page of an origin that may not read the stream has its visitor's cookie sent along.
local function check_origin(is_foreign)
    if is_foreign and ngx.var.cookie_pushgate then
        return refusal.for_good(403, "origin", "pages of this origin may not use the cookie "
            .. "pushgate; PUSHGATE_ORIGINS lists those that may")
    end
end

-- Answers the request itself when the client may not subscribe to all of `requested` (a list of
-- {name, backlog}). `is_foreign`: it came from a page of an origin that is not listed.
-- Returns who it is, nil for nobody in particular:
--   sub                 the user, a text
--   closed              the channels that the token is needed for
--   ends_at             when the token has expired, seconds since 1970
--   issued_at, version  what revocation.lua asks for
function _M.open(requested, is_foreign)
    check_origin(is_foreign)
    local closed = closed_among(requested)
    local text, is_cookie = brought()
    if not text then
        if #closed > 0 and config.get().token_keys == "" then
            return refusal.for_good(403, "channel", "channel " .. channels.shown(closed[1])
                .. " is not public, and this gateway has no keys to open it with")
        end
        if #closed > 0 then
            return unauthorized("no_token", "channel " .. channels.shown(closed[1])
                .. " is not public; bring a token: ?token=, or the cookie pushgate")
        end
        return nil
    end
    local is_optional = is_cookie and #closed == 0
    if not revocation.is_known() then
        if is_optional then
            return nil
        end
        return refusal.for_now("unavailable", AWAY_MIN_MS, AWAY_MAX_MS)
    end
    -- Before they are asked: what comes in between is asked again.
    local version = revocation.version()
    local claims, reason, sentence = claims_of(text)
    if claims and revocation.refuses(claims.sub, claims.issued_at, closed) then
        claims, reason, sentence = nil, "revoked", "the token was revoked; bring a new one"
    end
    if not claims then
        return not is_optional and unauthorized(reason, sentence) or nil
    end
    for _, name in ipairs(closed) do
        if not token.opens(claims, name) then
            return refusal.for_good(403, "channel", "the token does not open channel "
                .. channels.shown(name))
        end
    end
    return { sub = claims.sub, closed = closed, ends_at = token.ends_at(claims),
        issued_at = claims.issued_at, version = version }
end

return _M
