using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Prompts;
using static TorchSharp.torch;

namespace Polymath.Tuning.Prompts;

/// <summary>Training rows with their answers that stand before a question (Gao et al. 2021): for each label, those like it.</summary>
internal sealed class Demonstrations
{
    private readonly TaskDemonstrations given;
    private readonly IReadOnlyList<string> fields, texts;
    private readonly int[] between;
    private readonly TokenSimilarity? bm25;
    private readonly Dictionary<string, IReadOnlyList<IReadOnlyList<TaskExample>>> known = new(StringComparer.Ordinal);
    private TextModel model;
    private float[][]? vectors;

    /// <summary>Demonstrations.</summary>
    /// <param name="model">The model.</param>
    /// <param name="given">What they are chosen from, and how.</param>
    /// <param name="fields">The fields that make a row's text.</param>
    internal Demonstrations(TextModel model, TaskDemonstrations given, IReadOnlyList<string> fields)
    {
        (this.model, this.given, this.fields) = (model, given, fields);
        between = model.Tokenizer.Encode(given.Between);
        texts = [.. given.Rows.Select(row => TextOf(row.Fields))];
        if (given.Like == DemonstrationsLike.Bm25) bm25 = new TokenSimilarity([.. texts.Select(model.Tokenizer.EncodePlain)]);
    }

    /// <summary>Says by a model's vectors, from here on, which rows are like a question.</summary>
    /// <param name="now">The model.</param>
    internal void Follow(TextModel now)
    {
        model = now;
        known.Clear();
        vectors = null;
    }

    /// <summary>How many sets each question gets.</summary>
    internal int Contexts => given.Contexts;

    /// <summary>The sets before a question, each in the order in which they stand. The question itself is not among them.</summary>
    /// <param name="question">The question's fields.</param>
    internal IReadOnlyList<IReadOnlyList<TaskExample>> Of(IReadOnlyDictionary<string, string> question)
    {
        var text = TextOf(question);
        if (known.TryGetValue(text, out var before)) return before;
        var random = new RandomStream(given.Seed, "demonstrations " + text);
        IReadOnlyList<double> likeness = given.Like switch
        {
            DemonstrationsLike.Bm25 => bm25!.To(model.Tokenizer.EncodePlain(text)),
            DemonstrationsLike.Vectors => Cosines(text),
            _ => [.. given.Rows.Select(_ => random.NextDouble())],
        };
        // The likest first; equal ones by their place.
        var ranked = Enumerable.Range(0, texts.Count).Where(i => texts[i] != text).OrderByDescending(i => likeness[i])
            .GroupBy(i => given.Rows[i].Label).OrderBy(label => label.Key).Select(label => label.ToList()).ToList();
        return known[text] =
        [
            .. Enumerable.Range(0, given.Contexts).Select(set => (IReadOnlyList<TaskExample>)
            [
                .. ranked.SelectMany(label => Enumerable.Range(0, Math.Min(given.Each, label.Count))
                    .Select(i => label[((set * given.Each) + i) % label.Count]))
                    // The likest stands next to the question.
                    .OrderBy(i => likeness[i]).Select(i => given.Rows[i]),
            ]),
        ];
    }

    /// <summary>The tokens of a set: each demonstration gets as much room; one that does not fit is left out.</summary>
    /// <param name="prompt">The prompt that asks.</param>
    /// <param name="set">The set.</param>
    /// <param name="room">The most tokens.</param>
    internal IReadOnlyList<int> Lead(AskedPrompt prompt, IReadOnlyList<TaskExample> set, int room)
    {
        if (set.Count == 0) return [];
        var each = (room / set.Count) - between.Length;
        return
        [
            .. set.Select(row => prompt.Reader.Demonstration(row.Fields, prompt.Written(row.Label, row.Fields), each))
                .OfType<IReadOnlyList<int>>().SelectMany(ids => ids.Concat(between)),
        ];
    }

    private string TextOf(IReadOnlyDictionary<string, string> row) =>
        string.Join(' ', fields.Select(field => row.GetValueOrDefault(field, "")));

    private double[] Cosines(string text)
    {
        vectors ??= [.. texts.Select(Vector)];
        var own = Vector(text);
        return [.. vectors.Select(vector => vector.Zip(own).Sum(pair => (double)pair.First * pair.Second))];
    }

    // The mean of a text's last hidden states, of length 1.
    private float[] Vector(string text)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        var network = model.Model;
        var ids = model.Tokenizer.Encode(text, addSpecialTokens: true);
        ids = ids[..Math.Min(ids.Length, network.Sizes.ContextLength - network.VirtualTokens - 1)];
        if (ids.Length == 0) return new float[network.Sizes.HiddenSize];
        // An encoder-decoder has read the text when its decoder begins.
        var row = network.Reading == Reading.EncoderDecoder
            ? new TokenRow([.. ids, PromptTokens.Of(model.Tokenizer).Sentinels[0]], [.. new float[ids.Length], 1], "text")
            : new TokenRow(ids, new float[ids.Length], "text");
        using var batch = network.Lay([row]);
        var mean = nn.functional.normalize(network.Hidden(batch).to(ScalarType.Float32).mean([0]), dim: 0);
        return mean.cpu().contiguous().data<float>().ToArray();
    }
}
