using Polymath.Recipes;
using Polymath.Tests.Cli;
using Polymath.Tests.Text;
using Polymath.Tuning.Prompts;

namespace Polymath.Tests.Tuning.Prompts;

/// <summary>Tasks as they lie beside a model.</summary>
[Trait("kind", "unit")]
public sealed class PromptTaskTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    [Fact]
    public void A_task_of_one_prompt_with_written_words_is_read_as_it_was_saved_before_there_were_several()
    {
        folder.Write(PromptTask.FileName, """
            {"template": "{text} it was {mask}", "labels": ["a", "b"], "words": {"a": ["soft", "mild"]}, "label": "kind",
             "reading": "Mean", "cut": "Head", "contentFree": ["it"]}
            """);
        var task = PromptTask.Read(folder.Path)!;
        var prompt = Assert.Single(task.Prompts);
        Assert.Equal(("{text} it was {mask}", CutSide.Head), (prompt.Template, prompt.Cut));
        var verbalizer = prompt.Verbalizer;
        Assert.Equal(("words", WordReading.Mean, 1), (verbalizer.Kind, verbalizer.Reading, verbalizer.Answers));
        Assert.Equal(["soft", "mild"], verbalizer.Words!["a"]);
        Assert.Equal(["it"], verbalizer.ContentFree!);
        Assert.Equal(["text"], task.Fields());
        Assert.Null(PromptTask.Read(folder.At("nowhere")));
        folder.Write(PromptTask.FileName, """{"labels": ["a"], "label": "kind", "prompts": []}""");
        Assert.Contains(
            "it should hold prompts, labels and label", Assert.Throws<InputException>(() => PromptTask.Read(folder.Path)).Message);
    }

    [Fact]
    public void What_a_task_has_learned_is_saved_with_it_and_missed_where_it_is_not()
    {
        var method = new PromptMethod("{soft:2} {text|lower} {mask}", new WordsSpec(Calibrate: new DomainSpec("it {mask}")))
        {
            Demonstrations = new DemonstrationsSpec(Like: DemonstrationsLike.Bm25),
        };
        using var model = PromptModels.Open("bert-mlm");
        List<TaskRow> rows = [new("r", new Dictionary<string, string> { ["text"] = "a" }, 0)];
        using (var asked = new TaskLook(model, method, rows, 3).Made(PromptTask.Of(method, ["soft", "hard"], "kind")))
            asked.Save(folder.Path);
        var saved = PromptTask.Read(folder.Path)!;
        using (var opened = AskedTask.Open(model, saved, folder.Path))
        {
            Assert.Equal(saved.ToJson(), opened.Task.ToJson());
            Assert.Equal("soft_embedding.weight", Assert.Single(opened.Weights).Name);
        }
        File.Delete(folder.At("task.safetensors"));
        Assert.Contains(
            "task.safetensors is missing: what the task has learned belongs beside its task.json",
            Assert.Throws<InputException>(() => AskedTask.Open(model, saved, folder.Path)).Message,
            StringComparison.Ordinal);
    }
}
