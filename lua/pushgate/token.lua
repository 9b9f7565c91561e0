-- A token: a JSON Web Token that says who may subscribe to what, and until when.
--
-- Pure: no nginx phase, no I/O. Held to tests/golden/tokens.json, as is django_hooks/tokens.py.
-- Of what a client brings nothing is read before the signature holds but the header's `alg` and
-- `kid`; and the algorithm is the key's, whatever the header says. No sentence here has anything in
-- it that came with the token.

local cjson = require("cjson")

local crypto = require("pushgate.crypto")

local byte = string.byte
local find = string.find
local match = string.match
local rep = string.rep
local sub = string.sub

local json = cjson.new()
-- NaN, Infinity and hexadecimal are not JSON.
json.decode_invalid_numbers(false)

-- What a cookie holds.
local MOST_BYTES = 4096
local CLOCKS_DIFFER_SECONDS = 5
-- Revocations are kept for as long (pushgate/revocation.py).
local LONGEST_SECONDS = 86400

local _M = {}

-- Whether `text` is UTF-8.
local function is_utf8(text)
    local at = find(text, "[\128-\255]")
    while at do
        local first, second = byte(text, at, at + 1)
        local more = first >= 0xf0 and 3 or first >= 0xe0 and 2 or 1
        if first < 0xc2 or first > 0xf4
            or not find(text, "^" .. rep("[\128-\191]", more), at + 1)
            or (first == 0xe0 and second < 0xa0) or (first == 0xed and second > 0x9f)
            or (first == 0xf0 and second < 0x90) or (first == 0xf4 and second > 0x8f)
        then
            return false
        end
        at = find(text, "[\128-\255]", at + more + 1)
    end
    return true
end

-- Decodes a part that is a JSON object. Returns it; nil for anything else.
local function object_of(part)
    local text = crypto.decode_base64url(part)
    if not text or not is_utf8(text) or not find(text, "^%s*{") then
        return nil
    end
    local ok, object = pcall(json.decode, text)
    return ok and object or nil
end

-- A finite number; nil for anything else.
local function number_of(value)
    if type(value) == "number" and value - value == 0 then
        return value
    end
    return nil
end

local function is_list_of_text(value)
    if type(value) ~= "table" then
        return false
    end
    local count = 0
    for key, text in pairs(value) do
        if type(key) ~= "number" or type(text) ~= "string" then
            return false
        end
        count = count + 1
    end
    return count == #value
end

local function is_for(audience, value)
    if type(value) == "string" then
        return value == audience
    end
    if not is_list_of_text(value) then
        return false
    end
    for _, text in ipairs(value) do
        if text == audience then
            return true
        end
    end
    return false
end

local function invalid(why)
    return nil, "token", "the token is not valid: " .. why
end

-- When a token opens nothing any more.
function _M.ends_at(claims)
    return claims.expires_at + CLOCKS_DIFFER_SECONDS
end

-- Whether it is the token's time; valid ones are kept, so this is asked anew at each use.
-- Returns true; or nil, a reason and a sentence.
function _M.check_time(claims, now)
    if _M.ends_at(claims) <= now then
        return nil, "expired", "the token has expired; bring a new one"
    end
    if claims.not_before > now + CLOCKS_DIFFER_SECONDS then
        return invalid("its nbf lies ahead; compare the clocks of site and gateway")
    end
    if claims.issued_at > now + CLOCKS_DIFFER_SECONDS then
        return invalid("its iat lies ahead; compare the clocks of site and gateway")
    end
    return true
end

local function read_claims(part, audience)
    local object = object_of(part)
    if not object then
        return invalid("its claims are not a JSON object")
    end
    if not is_for(audience, object.aud) then
        return invalid("its aud is not this gateway's")
    end
    if type(object.sub) ~= "string" or object.sub == "" then
        return invalid("its sub is not a text")
    end
    if not is_list_of_text(object.channels) then
        return invalid("its channels are not a list of names")
    end
    local claims = {
        sub = object.sub,
        channels = object.channels,
        issued_at = number_of(object.iat),
        not_before = number_of(object.nbf),
        expires_at = number_of(object.exp),
    }
    if not claims.issued_at or not claims.not_before or not claims.expires_at then
        return invalid("its iat, nbf and exp are not all numbers")
    end
    if claims.expires_at - claims.issued_at > LONGEST_SECONDS then
        return invalid("it lives for longer than a day")
    end
    return claims
end

-- Verifies a token. `keys` is what token_keys.parse() returned, `now` seconds since 1970.
-- Returns {sub, channels, issued_at, not_before, expires_at}; or nil, a reason (one of a few fixed
-- words) and a sentence.
function _M.verify(text, keys, audience, now)
    if #text > MOST_BYTES then
        return invalid("it has more than " .. MOST_BYTES .. " bytes")
    end
    local head, body, tail = match(text, "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    if not head then
        return invalid("it is not three parts of base64url")
    end
    local header = object_of(head)
    if not header then
        return invalid("its header is not a JSON object")
    end
    local key = type(header.kid) == "string" and keys[header.kid]
    if not key then
        return invalid("no key of this gateway has its kid")
    end
    if header.alg ~= key.alg then
        return invalid("its alg is not that of its key")
    end
    if header.crit ~= nil then
        return invalid("its header asks for more than this gateway knows")
    end
    local signature = crypto.decode_base64url(tail)
    if not signature or not key.verify(sub(text, 1, #head + 1 + #body), signature) then
        return invalid("its signature does not hold")
    end
    local claims, reason, sentence = read_claims(body, audience)
    if not claims then
        return nil, reason, sentence
    end
    local ok
    ok, reason, sentence = _M.check_time(claims, now)
    if not ok then
        return nil, reason, sentence
    end
    return claims
end

-- Whether `granted`, a name or `prefix:*`, covers a channel.
local function covers(granted, name)
    if sub(granted, -2) == ":*" then
        return sub(name, 1, #granted - 1) == sub(granted, 1, -2)
    end
    return granted == name
end

-- Whether a token opens a channel, revocations aside.
function _M.opens(claims, name)
    for i = 1, #claims.channels do
        if covers(claims.channels[i], name) then
            return true
        end
    end
    return false
end

return _M
