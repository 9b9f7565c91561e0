local exposition = require("pushgate.exposition")

describe("the exposition", function()
    it("has a family's help and type once, then its samples", function()
        local out = exposition.new()
        out:family("a_total", "counter", "Counts a.")
        out:sample("a_total", 1, "reason", "x")
        out:sample("a_total", 2.5, "reason", "y")
        assert.equal("# HELP a_total Counts a.\n# TYPE a_total counter\n"
            .. 'a_total{reason="x"} 1\na_total{reason="y"} 2.5\n', out:text())
    end)

    it("leaves out what is not known", function()
        local out = exposition.new()
        out:single("a", "gauge", "A.", nil)
        assert.equal("\n", out:text())
    end)

    it("escapes what would end a value or a line", function()
        local out = exposition.new()
        out:family("a", "gauge", "one\ntwo \\")
        out:sample("a", 1, "b", 'c"d\\e\nf')
        assert.equal('# HELP a one\\ntwo \\\\\n# TYPE a gauge\na{b="c\\"d\\\\e\\nf"} 1\n',
            out:text())
    end)

    it("adds the buckets of a histogram up", function()
        local out = exposition.new()
        out:histogram("h", "H.", { 0.1, 1, math.huge }, { 2, 0, 1 }, 7.25)
        assert.equal('# HELP h H.\n# TYPE h histogram\nh_bucket{le="0.1"} 2\nh_bucket{le="1"} 2\n'
            .. 'h_bucket{le="+Inf"} 3\nh_sum 7.25\nh_count 3\n', out:text())
    end)
end)
