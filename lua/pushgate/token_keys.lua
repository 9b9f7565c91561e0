-- The keys that verify tokens: a JSON Web Key Set, as `manage.py push_keys` writes it.
--
-- Phases: parse() none (pure), load() init, current() access. The file is looked at again every
-- second at the most, when a token is to be verified; one that cannot be used is said once, and
-- the keys that were there stay. The last text that could be used is in pushgate_state too, for the
-- workers of a reload that comes while the file cannot be.

local cjson = require("cjson.safe")

local crypto = require("pushgate.crypto")
local monotonic = require("pushgate.monotonic")

local LOOK_SECONDS = 1
local MOST_BYTES = 64 * 1024
local SHORTEST_SECRET_BYTES = 32
local KEPT, TROUBLE = "token_keys:text", "token_keys:trouble"

local _M = {}

-- What this worker has: `text` is the file's when it was last looked at.
local held = { keys = {}, text = "", looked_at = 0 }

-- Reads one JSON Web Key. Returns {alg, verify}; or nil and what is wrong, without its bytes.
local function read_key(jwk)
    if jwk.alg == "EdDSA" and jwk.kty == "OKP" and jwk.crv == "Ed25519" then
        if jwk.d ~= nil then
            return nil, "has the private half; give the gateway the public one alone"
        end
        local public = type(jwk.x) == "string" and crypto.decode_base64url(jwk.x)
        local verify = public and crypto.ed25519(public)
        if not verify then
            return nil, "has no x that is an Ed25519 key"
        end
        return { alg = "EdDSA", verify = verify }
    end
    if jwk.alg == "HS256" and jwk.kty == "oct" then
        local secret = type(jwk.k) == "string" and crypto.decode_base64url(jwk.k)
        if not secret or #secret < SHORTEST_SECRET_BYTES then
            return nil, "has no k of at least " .. SHORTEST_SECRET_BYTES .. " bytes"
        end
        return { alg = "HS256", verify = crypto.hs256(secret) }
    end
    return nil, "is neither kty OKP, crv Ed25519, alg EdDSA nor kty oct, alg HS256"
end

-- Reads a key set. Returns a table, kid -> {alg, verify}; or nil and what is wrong with it.
function _M.parse(text)
    local set = cjson.decode(text)
    local list = type(set) == "table" and set.keys
    if type(list) ~= "table" or (#list == 0 and next(list) ~= nil) then
        return nil, "it is not a JSON Web Key Set, {\"keys\": [...]}"
    end
    local keys = {}
    for number, jwk in ipairs(list) do
        if type(jwk) ~= "table" or type(jwk.kid) ~= "string" or jwk.kid == "" then
            return nil, "key " .. number .. " has no kid"
        end
        if keys[jwk.kid] then
            return nil, "key " .. number .. " has the kid of another one"
        end
        local why
        keys[jwk.kid], why = read_key(jwk)
        if not keys[jwk.kid] then
            return nil, "key " .. number .. " " .. why
        end
    end
    return keys
end

-- Returns the file's text; or nil and an error.
local function read_file(path)
    local file, why = io.open(path, "rb")
    if not file then
        return nil, "could not open it: " .. why
    end
    local text = file:read(MOST_BYTES + 1)
    file:close()
    if not text or #text > MOST_BYTES then
        return nil, text and "it is larger than 64 KB" or "it is empty or no file"
    end
    return text
end

-- Returns true; or nil and what is wrong with the file.
local function look(path)
    local text, why = read_file(path)
    if not text then
        return nil, why
    end
    if text ~= held.text then
        local keys
        keys, why = _M.parse(text)
        if not keys then
            return nil, why
        end
        held.keys, held.text = keys, text
        ngx.shared.pushgate_state:safe_set(KEPT, text)
    end
    return true
end

-- Says that the file cannot be used, once.
local function tell(path, why)
    local state = ngx.shared.pushgate_state
    if state:get(TROUBLE) ~= why then
        state:set(TROUBLE, why)
        ngx.log(ngx.ERR, "the token keys stay as they were: PUSHGATE_TOKEN_KEYS \"", path, "\": ",
            why)
    end
end

-- In the master, so that a file that cannot be used stops the start. Raises: what is wrong. At a
-- reload the keys that were there stay.
function _M.load(path)
    local ok, why = look(path)
    if ok then
        return
    end
    local kept = ngx.shared.pushgate_state:get(KEPT)
    if not kept then
        error("PUSHGATE_TOKEN_KEYS \"" .. path .. "\": " .. why
            .. "; manage.py push_keys writes it", 0)
    end
    held.keys, held.text = assert(_M.parse(kept)), kept
    tell(path, why)
end

-- The keys as they are now: another table when they have changed.
function _M.current(path)
    local now = monotonic.now()
    if now - held.looked_at < LOOK_SECONDS then
        return held.keys
    end
    held.looked_at = now
    local ok, why = look(path)
    if ok then
        ngx.shared.pushgate_state:delete(TROUBLE)
    else
        tell(path, why)
    end
    return held.keys
end

return _M
