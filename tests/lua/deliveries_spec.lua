local stand_ins = require("stand_ins")

describe("the deliveries of a frame", function()
    local nginx, counters, deliveries, readings

    before_each(function()
        nginx = stand_ins.begin({ "counters", "deliveries" })
        readings = 0
        nginx.update_time = function()
            readings = readings + 1
        end
        counters = require("pushgate.counters")
        deliveries = require("pushgate.deliveries")
    end)

    -- As subscribe.pass() does it.
    local function deliver(seen, times)
        for _ = 1, times do
            seen.passed = seen.passed + 1
            if seen.passed == seen.mark then
                deliveries.observe(seen)
            end
        end
    end

    local function amount_at(bound)
        return counters.held["late:" .. bound]
    end

    it("are all counted, with their bytes, once", function()
        local seen = deliveries.new("four", { ms = 999900 })
        deliver(seen, 1000)
        deliveries.settle(seen)
        deliveries.settle(seen)
        assert.equal(1000, counters.held.deliveries)
        assert.equal(4000, counters.held.bytes)
        local sum = 0
        for _, bucket in ipairs(deliveries.BUCKETS) do
            sum = sum + counters.held[bucket]
        end
        assert.equal(1000, sum)
    end)

    it("lie in the bucket of the time since the frame entered the log", function()
        nginx.set_now(1000.3)
        deliver(deliveries.new("x", { ms = 1000000 }), 1)
        assert.equal(1, amount_at("0.4"))
        nginx.set_now(2000)
        deliver(deliveries.new("x", { ms = 1000000 }), 1)
        assert.equal(1, amount_at("+Inf"))
        assert.near(1000.3, counters.held.late_seconds, 1e-6)
    end)

    it("are by Redis' clock, and never before their time", function()
        deliveries.set_clock(-5)
        deliver(deliveries.new("x", { ms = 1000000 - 5000 - 80 }), 1)
        assert.equal(1, amount_at("0.1"))
        deliver(deliveries.new("x", { ms = 1000000 }), 1)
        assert.equal(1, amount_at("0.005"))
    end)

    it("cost few readings of the clock", function()
        deliver(deliveries.new("x", { ms = 1000000 }), 10000)
        assert.is_true(readings < 50, readings .. " readings")
    end)
end)
