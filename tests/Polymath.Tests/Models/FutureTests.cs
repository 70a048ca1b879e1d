using Polymath.Models;
using Polymath.Tests.Text;

namespace Polymath.Tests.Models;

/// <summary>No answer token is seen by what foretells it: in every family, and up to the answer's beginning where a prompt is read in both
/// directions.</summary>
[Trait("kind", "invariant")]
public sealed class FutureTests
{
    public static TheoryData<string> Decoders
    {
        get
        {
            var names = new TheoryData<string>();
            var places = new[] { TextFixtures.At("models"), TextFixtures.At("own", "models") };
            foreach (var folder in places.SelectMany(Directory.GetDirectories).Order(StringComparer.Ordinal))
            {
                using var model = ModelFolder.Open(folder);
                // Encoders see all by design, and an encoder-decoder's answer lies beside what it reads.
                if (model.Reading == Reading.Decoder && model.Labels is null)
                    names.Add(Path.GetRelativePath(TextFixtures.At(), folder));
            }
            return names;
        }
    }

    [Theory]
    [MemberData(nameof(Decoders))]
    public void What_comes_later_does_not_change_what_is_foretold(string name)
    {
        using var model = ModelFolder.Open(TextFixtures.At(name));
        // A prompt of four tokens and its marks, then an answer.
        int[] marks = model.PromptEnd is { } end ? [(int)model.Configuration["gmask_token_id"]!, end] : [5, 6];
        int[] prompt = [11, 12, 13, 14, .. marks], answer = [21, 22, 23, 24, 25];
        int[] row = [.. prompt, .. answer];
        var known = Toy.Logits(model, row);
        var width = known.Length / row.Length;
        float[] Until(float[] logits, int tokens) => logits[..(tokens * width)];
        for (var at = prompt.Length; at < row.Length; at++)
        {
            var changed = Toy.Logits(model, [.. row[..at], row[at] + 9, .. row[(at + 1)..]]);
            Close(Until(known, at), Until(changed, at));
            Assert.NotEqual(known, changed);
            // Nor does their number, but for frequencies that depend on the longest row.
            if (!ByLength(model)) Close(Until(known, at), Toy.Logits(model, row[..at]));
        }
        // What stands in a prompt sees all of it, and an answer's beginning does not belong to it.
        var other = Toy.Logits(model, [.. row[..3], row[3] + 9, .. row[4..]]);
        if (model.PromptEnd is null) Close(Until(known, 3), Until(other, 3));
        else
            for (var at = 0; at < 3; at++)
                Assert.NotEqual(known[(at * width)..((at + 1) * width)], other[(at * width)..((at + 1) * width)]);
    }

    [Fact]
    public void A_row_without_the_answers_beginning_is_seen_whole()
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", "chatglm"));
        Assert.NotNull(model.PromptEnd);
        float[] one = Toy.Logits(model, [11, 12, 13, 21]), two = Toy.Logits(model, [11, 12, 13, 22]);
        Assert.NotEqual(one[..(one.Length / 4)], two[..(two.Length / 4)]);
    }

    private static bool ByLength(LanguageModel model)
    {
        var rope = model.Configuration["rope_scaling"] ?? model.Configuration["rope_parameters"];
        return (rope?["rope_type"] ?? rope?["type"])?.ToString() is "dynamic" or "longrope";
    }

    // Experts add up the rows of a batch in another order; nothing else differs by more than rounding.
    private static void Close(float[] expected, float[] found)
    {
        Assert.Equal(expected.Length, found.Length);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], found[i], 1e-5f);
    }
}
