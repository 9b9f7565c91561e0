-- What the tail says of itself.

local stand_ins = require("stand_ins")

describe("the tail", function()
    local cursor, nginx, state, tail, done, now

    before_each(function()
        nginx = stand_ins.begin({ "tail", "counters", "recent" })
        cursor = require("pushgate.cursor")
        for name, stand_in in pairs({
            config = {}, engine = {}, generation = {}, history = {}, redis = {},
            position = { done = function() return done end, now = function() return now end },
        }) do
            package.loaded["pushgate." .. name] = stand_in
        end
        tail = require("pushgate.tail")
        state = nginx.shared.pushgate_state.values
        done = cursor.of_entry("00000000", "900000-0")
        now = done
        state["tail:seen"], state["tail:late"] = 1000, 0.01
    end)

    teardown(function()
        for _, name in ipairs({ "config", "engine", "generation", "history", "redis",
            "position" }) do
            package.loaded["pushgate." .. name] = nil
        end
    end)

    it("is well at rest, however old the last entry", function()
        assert.is_nil(tail.trouble())
        local late, is_behind, age = tail.lag()
        assert.same({ 0.01, false, 0 }, { late, is_behind, age })
    end)

    it("is in trouble when the log has not been read for long", function()
        nginx.set_now(1010)
        assert.equal("the log was last read 10 seconds ago", tail.trouble())
    end)

    it("is in trouble while what it hands over is old, and no longer", function()
        state["tail:late"], state["tail:behind"] = 60, true
        assert.equal("what is handed over now is 60 seconds old", tail.trouble())
        state["tail:behind"] = false
        assert.is_nil(tail.trouble())
    end)

    it("is in trouble when an entry on its way grows old, by Redis' clock", function()
        now = cursor.of_entry("00000000", "980000-0")
        assert.equal("what is handed over now is 20 seconds old", tail.trouble())
        state["tail:clock"] = -19
        assert.is_nil(tail.trouble())
        assert.near(1, (tail.lag()), 1e-6)
    end)

    it("says what the trouble is", function()
        state["tail:trouble"] = "connection refused"
        assert.equal("the log is not followed: connection refused", tail.trouble())
    end)
end)
