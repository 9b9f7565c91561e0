-- What a subscriber that comes back is given first, with stand-ins for all that is around it.

local cursor = require("pushgate.cursor")

local EPOCH = "00000000"

local function at(seq)
    return cursor.of_entry(EPOCH, "1-" .. seq)
end

describe("a subscriber that comes back", function()
    local head, subscriber, found, end_of_log

    setup(function()
        _G.ngx = { shared = { pushgate_state = { incr = function() end } } }
        local stand_ins = {
            ["pushgate.config"] = { get = function()
                return { retry_min_ms = 1, retry_max_ms = 1 }
            end },
            ["pushgate.continuity"] = { doubt = function() end },
            ["pushgate.counters"] = { add = function() end },
            ["pushgate.history"] = { after = function() return found end },
            ["pushgate.position"] = { ask = function() return end_of_log end },
            ["pushgate.redis"] = { with = function(ask) return ask() end },
        }
        for name, stand_in in pairs(stand_ins) do
            package.loaded[name] = stand_in
        end
        package.loaded["pushgate.head"] = nil
        head = require("pushgate.head")
    end)

    teardown(function()
        for _, name in ipairs({ "config", "continuity", "counters", "history", "position", "redis",
            "head" }) do
            package.loaded["pushgate." .. name] = nil
        end
    end)

    before_each(function()
        subscriber = { names = { "a" }, joining = {} }
        found = { reset = "history" }
        end_of_log = at(9)
    end)

    it("and lacks what was cut off is reset", function()
        assert.is_true(head.resume(subscriber, at(1).text, at(5)))
        assert.truthy(subscriber.joining.head:find("event: reset", 1, true))
        assert.are.equal(5, subscriber.seq)
    end)

    it("and is ahead of the tail lacks nothing, whatever was cut off behind it", function()
        assert.is_true(head.resume(subscriber, at(7).text, at(5)))
        assert.falsy(subscriber.joining.head:find("event: reset", 1, true))
        assert.truthy(subscriber.joining.head:find("id: " .. at(7).text, 1, true))
        assert.are.equal(7, subscriber.seq)
        assert.is_true(subscriber.resumed)
    end)

    it("from beyond the log is reset", function()
        end_of_log = at(6)
        assert.is_true(head.resume(subscriber, at(7).text, at(5)))
        assert.truthy(subscriber.joining.head:find("event: reset", 1, true))
        assert.are.equal(5, subscriber.seq)
    end)
end)
