-- The key set, and what of it is refused.

local cjson = require("cjson")

local golden = require("golden")
local token_keys = require("pushgate.token_keys")

local given = golden.read("tokens").keys.keys
local ED, HS = given[1], given[2]

-- A key with some members changed; `false` takes one away.
local function changed(key, changes)
    local copy = {}
    for name, value in pairs(key) do
        copy[name] = value
    end
    for name, value in pairs(changes) do
        copy[name] = value or nil
    end
    return copy
end

describe("a key set", function()
    it("is read by kid", function()
        local keys = token_keys.parse(cjson.encode({ keys = given }))
        assert.equal("EdDSA", keys.ed.alg)
        assert.equal("HS256", keys.hs.alg)
        assert.same({}, token_keys.parse('{"keys": []}'))
    end)

    for what, set in pairs({
        ["nothing"] = "",
        ["no JSON"] = "{",
        ["a list"] = "[]",
        ["no keys"] = "{}",
        ["keys that are no list"] = '{"keys": {"a": 1}}',
        ["a key that is none"] = '{"keys": [1]}',
        ["a PEM"] = "-----BEGIN PUBLIC KEY-----",
        ["no kid"] = { changed(ED, { kid = false }) },
        ["an empty kid"] = { changed(ED, { kid = "" }) },
        ["a kid twice"] = { ED, changed(HS, { kid = ED.kid }) },
        ["no alg"] = { changed(ED, { alg = false }) },
        ["alg none"] = { changed(ED, { alg = "none" }) },
        ["an alg of the other kind"] = { changed(ED, { alg = "HS256" }) },
        ["another curve"] = { changed(ED, { crv = "X25519" }) },
        ["the private half"] = { changed(ED, { d = ED.x }) },
        ["a public key cut short"] = { changed(ED, { x = ED.x:sub(1, -3) }) },
        ["a public key that is no text"] = { changed(ED, { x = 1 }) },
        ["a secret that can be guessed"] = { changed(HS, { k = "c2VjcmV0" }) },
        ["a secret that is not base64url"] = { changed(HS, { k = HS.k .. "=" }) },
        ["no secret"] = { changed(HS, { k = false }) },
        ["RSA"] = { { kty = "RSA", alg = "RS256", kid = "a", n = "AQAB", e = "AQAB" } },
    }) do
        it("is refused with " .. what, function()
            local text = type(set) == "table" and cjson.encode({ keys = set }) or set
            local keys, why = token_keys.parse(text)
            assert.is_nil(keys)
            assert.is_nil(why:find(HS.k, 1, true))
        end)
    end
end)
