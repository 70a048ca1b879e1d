using Polymath.Models;
using Polymath.Models.Families;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Packing;
using Polymath.Text.Templates;
using Polymath.Tests.Tensors;
using Polymath.Training.Objectives;
using Polymath.Training.Objectives.Preferences;
using static TorchSharp.torch;

namespace Polymath.Tests.Models;

/// <summary>Models of a few thousand weights, and rows for them.</summary>
internal static class Toy
{
    public const int Vocabulary = 41, Context = 48;

    public static Llama Model(
        long seed = 1,
        int layers = 2,
        bool tied = true,
        int vocabulary = Vocabulary,
        double spread = 0.2) =>
            new(Llama.Configure(
                new LlamaSpec(
                    24,
                    40,
                    layers,
                    4,
                    2,
                    Context,
                    tied,
                    InitializerRange: spread),
                vocabulary,
                0,
                1), new FreshWeights(seed));

    /// <summary>Direct preference optimization.</summary>
    public static RankedPairs Dpo(double beta, double answerWeight) => new(new SigmoidLoss(beta), null, beta, answerWeight: answerWeight);

    /// <summary>A row of repeatable tokens, all of them learned or only the later half.</summary>
    public static TokenRow Row(int length, int number = 0, bool half = false, int vocabulary = Vocabulary)
    {
        var random = new RandomStream(5, "row", length, number);
        var ids = new int[length];
        for (var i = 0; i < length; i++)
            ids[i] = random.Next(vocabulary);
        return new TokenRow(ids, [.. Enumerable.Range(0, length).Select(i => half && i < length / 2 ? 0f : 1f)], $"row {number}");
    }

    public static List<TokenRow> Rows(params int[] lengths) => [.. lengths.Select((length, i) => Row(length, i, i % 2 == 1))];

    public static float[] Logits(LanguageModel model, params int[] ids)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = Batch.Of([new TokenRow(ids, new float[ids.Length], "")]);
        return Samples.Floats(model.Unembed(model.Hidden(batch)));
    }

    /// <summary>All weights' values, by name.</summary>
    public static Dictionary<string, float[]> Values(IEnumerable<Weight> weights) =>
        weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value));

    /// <summary>A tokenizer with a token for each letter, and the layout of models made here.</summary>
    public static (Tokenizer Tokenizer, TextContract Contract) Letters(string letters = "abcdefghijklmnopqrstuvwxyz .,!?") =>
        (CharacterTokenizerTrainer.Train([letters], 1, ChatTemplate.Specials), new TextContract(ChatTemplate.Own, []));

    public static TextModel Talker(long seed = 1)
    {
        var (tokenizer, contract) = Letters();
        return new TextModel(Model(seed, vocabulary: tokenizer.VocabularySize), tokenizer, contract);
    }
}
