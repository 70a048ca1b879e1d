using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text;
using Polymath.Text.Templates;
using Polymath.Tuning.Prompts;
using Polymath.Tuning.Prompts.Verbalizers;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Rows of prompts as recipes write them, and where a model is asked for its answer.</summary>
[Trait("kind", "unit")]
public sealed class PromptReaderTests
{
    private static Dictionary<string, string> Text(string text) => new() { ["text"] = text };

    [Fact]
    public void A_decoder_reads_its_opening_each_part_and_the_spaces_before_the_answer()
    {
        using var model = Toy.Talker();
        var plain = model.Tokenizer.EncodePlain;
        var opening = model.Contract.Template.OpeningIds(model.Tokenizer);
        Assert.NotEmpty(opening);
        var reader = new PromptReader(model, new AskSpec("{text} is {mask}"));
        Assert.Equal([.. opening, .. plain("abc"), .. plain(" is ")], reader.Row("r", Text("abc")).Ids);
        Assert.Equal([.. opening, .. plain("ab"), .. plain(" is ")], reader.Row("r", Text("abc"), opening.Length + 6).Ids);
        Assert.Equal([.. opening, .. plain("bc"), .. plain(" is ")],
            new PromptReader(model, new AskSpec("{text} is {mask}", Cut: CutSide.Head)).Row("r", Text("abc"), opening.Length + 6).Ids);
        var most = opening.Length + 3;
        Assert.Contains(
            $"r is 1 tokens too long for a row of {most}, and only 0 tokens of its fields may be cut",
            Assert.Throws<InputException>(() => reader.Row("r", Text(""), most)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_masked_model_is_asked_where_its_mask_stands()
    {
        var tokenizer = WordPieceTrainer.Train(
            ["a b it was soft hard today ."], 80, 0, ["[UNK]", "[MASK]", .. ChatTemplate.Specials]);
        var network = ModelFolder.Open(TextFixtures.At("models", "bert-mlm"));
        using var model = new TextModel(network, tokenizer, new TextContract(ChatTemplate.Own, []));
        var reader = new PromptReader(model, new AskSpec("it was {mask} today. {text}"));
        var rows = new[] { reader.Row("one", Text("[MASK] a b")), reader.Row("two", Text("a")) };
        Assert.All(rows, row => Assert.Equal([2], Places(row.Ids, tokenizer.SpecialTokens["[MASK]"])));
        Assert.All(rows, row => Assert.Equal([2], row.Answers!));
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var verbalizer = new ManualVerbalizer(TaskWords.Of(["soft", "hard"], null, tokenizer).Words) { Normalizes = false };
        using var batch = network.Lay(rows);
        var logits = network.Unembed(network.Hidden(batch).index_select(0, tensor(new long[] { 2, rows[0].Length + 2 })));
        Samples.Near(
            logits.index_select(1, tensor(verbalizer.Table.Tokens.ToArray())),
            new WordLabels(verbalizer).Scores(AskedStates.At(network, batch, rows)),
            1e-5,
            "the scores");
    }

    private static int[] Places(int[] ids, int token) => [.. Enumerable.Range(0, ids.Length).Where(i => ids[i] == token)];
}
