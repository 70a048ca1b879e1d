using Polymath.Tensors.Kernels;
using static TorchSharp.torch;

namespace Polymath.Tests.Tensors;

/// <summary>Attention of rows that read the beginning of another row's slot.</summary>
[Trait("kind", "unit")]
public sealed class SharedSlotTests
{
    /// <summary>Rows that share the beginning of a slot have the very numbers of rows that hold a copy of it.</summary>
    [Theory]
    [InlineData(64, 0)]
    [InlineData(24, 0)]
    [InlineData(7, 0)]
    [InlineData(64, 9)]
    public void A_shared_beginning_is_a_copied_one(int width, int window)
    {
        using var scope = NewDisposeScope();
        const int Slots = 14, Capacity = 50, Shared = 21;
        Tensor q = Samples.Normal("q", Slots, 6, width);
        Tensor Filled(string name) => Samples.Normal(
            name,
            Slots,
            2,
            Capacity,
            width);
        Tensor k = Filled("k"), v = Filled("v"), copiedKeys = k.clone(), copiedValues = v.clone();
        // The slots 3 to 12 begin with what slot 2 holds.
        int[] origins = [.. Enumerable.Range(0, Slots).Select(slot => slot is > 2 and < 13 ? 2 : slot)],
            shared = [.. origins.Select((origin, slot) => origin == slot ? 0 : Shared)],
            last = [.. Enumerable.Range(0, Slots).Select(slot => Shared + 1 + slot * 2)],
            first = [.. last.Select(place => window == 0 ? 0 : place - window)];
        for (var slot = 3; slot < 13; slot++)
            foreach (var copied in new[] { copiedKeys, copiedValues })
                copied[slot].narrow(1, 0, Shared).copy_(copied[2].narrow(1, 0, Shared));
        int[] slots = [.. Enumerable.Range(0, Slots)];
        var own = new CachedReach(slots, first, last, [.. last.Select(place => place - 1)]);
        var form = new AttentionForm(0.3);
        var expected = CachedAttention.Of(
            q,
            copiedKeys,
            copiedValues,
            own,
            form);
        var reach = own with { Origins = origins, Shared = shared };
        Samples.Near(
            expected,
            CachedAttention.Of(
                q,
                k,
                v,
                reach,
                form),
            0,
            "shared");
        Samples.Near(
            expected,
            CachedAttention.Plain(
                q,
                k,
                v,
                reach,
                form),
            Samples.Ulps(512),
            "shared, plain");
    }
}
