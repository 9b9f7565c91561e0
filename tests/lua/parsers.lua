-- Answers what Lua's parsers make of a text, line by line: "<parser> <text in hex>" comes in, JSON
-- goes out. tests/lua/test_parsers.py drives it and compares with Python's.

local json = require("cjson")

local channels = require("pushgate.channels")
local cursor = require("pushgate.cursor")
local frames = require("pushgate.sse.frames")
local golden = require("golden")
local redis_url = require("pushgate.redis_url")
local token = require("pushgate.token")
local token_keys = require("pushgate.token_keys")

local tokens = golden.read("tokens")
local keys = token_keys.parse(json.encode(tokens.keys))

local function hex(text)
    return (text:gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end))
end

local function unhex(text)
    return (text:gsub("%x%x", function(pair)
        return string.char(tonumber(pair, 16))
    end))
end

-- As nginx' unescape_uri does it.
local function unescape(text)
    return (text:gsub("+", " "):gsub("%%(%x%x)", unhex))
end

local parsers = {
    channel = function(text)
        return channels.check(text) == true
    end,
    path = function(text)
        return channels.parse_path(text, unescape) or false
    end,
    channels = function(text)
        return channels.parse_field(text) or false
    end,
    cursor = function(text)
        local found = cursor.parse(text)
        return found and { found.epoch, ("%.0f"):format(found.ms), ("%.0f"):format(found.seq),
            cursor.entry_id(found) } or false
    end,
    frame = function(text)
        return frames.is_frame(text)
    end,
    event_type = function(text)
        return frames.is_event_type(text)
    end,
    event_id = function(text)
        return frames.is_event_id(text)
    end,
    one_line = function(text)
        local line = frames.one_line(text)
        return line and hex(line) or false
    end,
    token = function(text)
        local claims = token.verify(text, keys, tokens.audience, tokens.now)
        return claims and { hex(claims.sub), #claims.channels, claims.issued_at, claims.expires_at }
            or false
    end,
    redis_url = function(text)
        local address, sentence = redis_url.parse(text)
        if not address then
            return { sentence = sentence }
        end
        return { host = address.host, port = address.port, path = address.path, db = address.db,
            user = address.user and hex(address.user),
            password = address.password and hex(address.password), tls = address.tls }
    end,
}

for line in io.lines() do
    local name, text = line:match("^(%S+) (%x*)$")
    print(json.encode({ parsers[name](unhex(text)) }))
    io.flush()
end
