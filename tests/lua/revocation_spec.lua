-- Revocations, with stand-ins for shared memory and for Redis.

local golden = require("golden")

-- A shared dict that keeps `most` entries.
local function dict(most)
    local held, count = {}, 0
    return {
        get = function(_, key) return held[key] end,
        set = function(_, key, value)
            held[key] = value
            return true
        end,
        add = function(_, key, value)
            if held[key] then
                return false, "exists"
            end
            held[key] = value
            return true
        end,
        delete = function(_, key) held[key] = nil end,
        safe_set = function(_, key, value)
            if not held[key] then
                if count == most then
                    return nil, "no memory"
                end
                count = count + 1
            end
            held[key] = value
            return true
        end,
        incr = function(_, key, by, first)
            held[key] = (held[key] or first) + by
            return held[key]
        end,
    }
end

-- A Redis that holds one stream, as revocation.look() asks it.
local function redis_of(entries)
    return {
        call = function(_, command, _, from)
            if command == "xinfo" then
                if not entries[1] then
                    return nil, "ERR no such key"
                end
                return { "length", #entries, "last-generated-id", entries[#entries][1] }
            end
            local rest, after = {}, tonumber(from:match("^%((%d+)%-"))
            for _, entry in ipairs(entries) do
                if tonumber(entry[1]:match("^%d+")) > after and #rest < 500 then
                    rest[#rest + 1] = entry
                end
            end
            return rest
        end,
    }
end

local function entry(id, name, value, before_ms)
    return { id .. "-0", { name, value, "before_ms", tostring(before_ms) } }
end

describe("revocations", function()
    local revocation, now

    local function begin(most)
        now = 1000
        _G.ngx = { shared = { pushgate_revoked = dict(most or 1000), pushgate_state = dict(1000) },
            now = function() return now end, log = function() end, ERR = 1 }
        for _, name in ipairs({ "counters", "revocation" }) do
            package.loaded["pushgate." .. name] = nil
        end
        package.loaded["pushgate.config"] = { get = function()
            return { token_keys = "file", keys = { revoked = "revoked" } }
        end }
        revocation = require("pushgate.revocation")
    end

    before_each(function() begin() end)

    for number, case in ipairs(golden.read("revocations")) do
        it("refuse as the golden file says, case " .. number, function()
            local entries = {}
            for i, found in ipairs(case.revoked) do
                entries[i] = entry(i, found.user and "user" or "channel",
                    found.user or found.channel, found.before_ms)
            end
            revocation.take(entries)
            assert.equal(case.opens,
                not revocation.refuses(case.sub, case.iat, { "forum:never", case.channel }))
        end)
    end

    it("are known when the stream has been read to its end", function()
        local entries = {}
        for i = 1, 1200 do
            entries[i] = entry(i, "user", tostring(i), 1000500)
        end
        begin(2000)
        assert.is_false(revocation.is_known())
        assert.is_true(revocation.look(redis_of(entries)))
        assert.is_true(revocation.is_known())
        assert.equal("1200-0", revocation.position())
        for i = 1, 1200 do
            assert.is_true(revocation.refuses(tostring(i), 1000, {}))
        end
    end)

    it("are known of a stream that is not there", function()
        assert.is_true(revocation.look(redis_of({})))
        assert.is_true(revocation.is_known())
        assert.is_false(revocation.refuses("7", 1000, { "a" }))
    end)

    it("are read from the start when the stream is another one, and stay", function()
        revocation.look(redis_of({ entry(50, "user", "7", 1000500) }))
        revocation.look(redis_of({}))
        assert.equal("0-0", revocation.position())
        revocation.look(redis_of({ entry(60, "user", "8", 1000500) }))
        revocation.look(redis_of({ entry(20, "user", "9", 1000500),
            entry(30, "user", "10", 1000500) }))
        assert.equal("30-0", revocation.position())
        for _, user in ipairs({ "7", "8", "9", "10" }) do
            assert.is_true(revocation.refuses(user, 1000, {}), user)
        end
    end)

    it("are followed from where they were read to", function()
        revocation.look(redis_of({ entry(50, "user", "7", 1000500) }))
        revocation.take({ entry(51, "channel", "a", 1000500) })
        assert.equal("51-0", revocation.position())
        assert.is_true(revocation.refuses("8", 1000, { "a" }))
    end)

    it("that do not fit make every token void that was made before", function()
        begin(1)
        revocation.take({ entry(1, "user", "7", 1000500), entry(2, "user", "8", 1000400) })
        assert.is_true(revocation.refuses("9", 1000.399, { "a" }))
        assert.is_false(revocation.refuses("9", 1000.4, { "a" }))
        assert.is_true(revocation.refuses("7", 1000.4, { "a" }))
    end)

    it("are not known as long as something else stands in their place", function()
        local misplaced = { call = function() return nil, "WRONGTYPE Operation" end }
        assert.is_true(revocation.look(misplaced))
        assert.is_false(revocation.is_known())
        assert.is_true(revocation.look(redis_of({})))
        assert.is_true(revocation.is_known())
        assert.is_true(revocation.look(misplaced))
        assert.is_false(revocation.is_known())
        local away = { call = function() return nil, "timeout" end }
        assert.same({ nil, "timeout" }, { revocation.look(away) })
    end)

    it("so old that no token can meet them are not kept", function()
        begin(0)
        now = 1000.5 + 86460
        revocation.take({ entry(1, "user", "7", 1000500) })
        assert.is_false(revocation.refuses("7", 1000, { "a" }))
    end)

    it("that are malformed are skipped, and the rest is read", function()
        revocation.take({
            { "1-0", { "user", "7" } },
            { "2-0", { "user", "", "before_ms", "1000500" } },
            { "3-0", { "user", "7", "before_ms", "soon" } },
            { "4-0", { "user", "7", "before_ms", ("9"):rep(20) } },
            { "5-0", { "who", "7", "before_ms", "1000500" } },
            { "6-0" },
            entry(7, "user", "8", 1000500),
        })
        assert.is_false(revocation.refuses("7", 1000, {}))
        assert.is_true(revocation.refuses("8", 1000, {}))
        assert.equal("7-0", revocation.position())
        assert.equal(6, require("pushgate.counters").held["malformed:revocations"])
    end)

    it("are looked at by who is in only when there are new ones", function()
        revocation.take({ entry(1, "user", "8", 1000500) })
        local identity = { sub = "7", issued_at = 1000, closed = { "a" }, version = 0 }
        assert.is_true(revocation.may_stay(identity))
        assert.equal(revocation.version(), identity.version)
        revocation.take({ entry(2, "channel", "a", 1000500) })
        assert.is_false(revocation.may_stay(identity))
        assert.is_false(revocation.may_stay(identity))
        identity.closed = {}
        assert.is_true(revocation.may_stay(identity))
    end)
end)
