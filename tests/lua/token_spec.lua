-- Tokens: signed by the golden file's keys, and by keys of our own.

local cjson = require("cjson")

local golden = require("golden")
local crypto = require("pushgate.crypto")
local token = require("pushgate.token")
local token_keys = require("pushgate.token_keys")

local given = golden.read("tokens")
local keys = assert(token_keys.parse(cjson.encode(given.keys)))

local function verified(text, now)
    return token.verify(text, keys, given.audience, now or given.now)
end

local function encoded(text)
    local digits = text:gsub(".", function(char)
        local bits, value = "", char:byte()
        for power = 7, 0, -1 do
            bits = bits .. math.floor(value / 2 ^ power) % 2
        end
        return bits
    end)
    return ((digits .. ("0"):rep(-#digits % 6)):gsub("......", function(bits)
        local at = tonumber(bits, 2) + 1
        return ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):sub(at, at)
    end))
end

-- The token of a golden case.
local function token_of(what)
    for _, case in ipairs(given.cases) do
        if case.what == what then
            return case.token
        end
    end
    error("no case " .. what)
end

describe("a token", function()
    for _, case in ipairs(given.cases) do
        it("is read as the golden file says: " .. case.what, function()
            local claims, reason, sentence = verified(case.token)
            if case.valid then
                assert.same({ case.sub, case.channels, case.iat, case.exp },
                    { claims.sub, claims.channels, claims.issued_at, claims.expires_at })
                return
            end
            assert.is_nil(claims)
            assert.equal(case.reason, reason)
            assert.truthy(sentence:find("^the token [%w ,;:'64-]+$"), sentence)
        end)
    end

    it("is refused when any of its characters is another", function()
        local text = token_of("Ed25519")
        for at = 1, #text do
            for _, other in ipairs({ "A", "_", ".", "=", "+", "\0", "\n" }) do
                if text:sub(at, at) ~= other then
                    assert.is_nil((verified(text:sub(1, at - 1) .. other .. text:sub(at + 1))))
                end
            end
        end
    end)

    it("is refused when it ends before its end or goes on behind it", function()
        for _, what in ipairs({ "Ed25519", "HMAC" }) do
            local text = token_of(what)
            for length = 0, #text - 1 do
                assert.is_nil((verified(text:sub(1, length))))
            end
            for _, more in ipairs({ "=", "A", ".", "\0", " ", text }) do
                assert.is_nil((verified(text .. more)))
            end
        end
    end)

    it("has one form only", function()
        -- The last character of a signature of 64 bytes carries two bits that count for nothing.
        local text = token_of("Ed25519")
        local last = text:byte(#text)
        for other = 33, 126 do
            if other ~= last then
                assert.is_nil((verified(text:sub(1, -2) .. string.char(other))))
            end
        end
    end)

    it("has a length that a cookie can have", function()
        local _, reason, sentence = verified(("a"):rep(4097))
        assert.equal("token", reason)
        assert.equal("the token is not valid: it has more than 4096 bytes", sentence)
    end)

    it("expires, and clocks differ by 5 seconds", function()
        local text = token_of("Ed25519")
        local ends = verified(text).expires_at + 5
        assert.truthy(verified(text, ends - 0.001))
        assert.equal("expired", select(2, verified(text, ends)))
        assert.equal(ends, token.ends_at(verified(text)))
    end)

    it("opens what it names and what is under its prefixes", function()
        local claims = { channels = { "user:7", "team:7:*", "*", ":*" } }
        for _, name in ipairs({ "user:7", "team:7:a", "team:7:a:b" }) do
            assert.is_true(token.opens(claims, name), name)
        end
        for _, name in ipairs({ "user:70", "user", "team:7", "team:70:a", "a", "team:8:a" }) do
            assert.is_false(token.opens(claims, name), name)
        end
    end)

    -- What PyJWT reads and this does not, and numbers that only some JSON parsers know.
    for what, claims in pairs({
        ["exp as text"] = '"exp":"1800000100"',
        ["exp as true"] = '"exp":true',
        ["exp beyond all numbers"] = '"exp":1e999',
        ["iat beyond all numbers"] = '"iat":1e999',
        ["nbf below all numbers"] = '"nbf":-1e999',
        ["exp not a number"] = '"exp":NaN',
        ["exp endless"] = '"exp":Infinity',
        ["exp in hexadecimal"] = '"exp":0x7fffffff',
        ["half a surrogate pair"] = '"sub":"\\ud800"',
        ["an overlong character"] = '"sub":"\192\128"',
        ["a surrogate in UTF-8"] = '"sub":"\237\160\128"',
        ["beyond Unicode"] = '"sub":"\244\144\128\128"',
        ["a character cut short"] = '"sub":"\226\152"',
    }) do
        it("is refused with " .. what, function()
            local always = { any = { alg = "HS256", verify = function() return true end } }
            local whole = '{"aud":"pushgate","sub":"7","channels":[],"iat":1800000000,'
                .. '"nbf":1800000000,"exp":1800000100'
            local head = encoded('{"alg":"HS256","kid":"any"}')
            local function read(text)
                return token.verify(head .. "." .. encoded(text) .. ".AAAA", always, "pushgate",
                    1800000000)
            end
            assert.truthy(read(whole .. "}"))
            assert.is_nil((read(whole .. "," .. claims .. "}")))
        end)
    end
end)

describe("base64url", function()
    it("is decoded, in its one form", function()
        for _, bytes in ipairs({ "", "f", "fo", "foo", "\251\255", "\0\0\0\0" }) do
            assert.equal(bytes, crypto.decode_base64url(encoded(bytes)))
        end
        for _, text in ipairs({ "Z", "Zh", "Zm9", "Zg==", "+/8", "Zm9v\n", "Z g", "\0\0" }) do
            assert.is_nil(crypto.decode_base64url(text), text)
        end
    end)
end)
