using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Text;
using Polymath.Text.Hubs;
using Polymath.Text.Templates;
using Polymath.Training.Rewards;
using Polymath.Training.Stages;

namespace Polymath.Training;

/// <summary>The parts that all stages of a run share: the data, the tokenizer, the layout, the rewards.</summary>
public sealed class Materials : IDisposable
{
    private readonly Dictionary<string, StageData> data;
    private readonly string baseFolder;
    private readonly List<StageData> changed = [];
    private RewardSet? rewards;
    private AskedTasks? asked;
    private int? context;

    /// <summary>The folder that paths in the recipe are relative to.</summary>
    public string BaseFolder => baseFolder;

    private Materials(
        Recipe recipe,
        string baseFolder,
        Corpora corpora,
        Tokenizer tokenizer,
        TextContract contract)
    {
        (Recipe, this.baseFolder, Corpora, Tokenizer, Contract) = (recipe, baseFolder, corpora, tokenizer, contract);
        data = recipe.Stages.SelectMany(stage => stage.Parts())
            .ToDictionary(stage => stage.Name, stage => new StageData(stage, corpora, contract));
    }

    /// <summary>The recipe.</summary>
    public Recipe Recipe { get; }

    /// <summary>The data sources and tables.</summary>
    public Corpora Corpora { get; }

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The layout of conversations.</summary>
    public TextContract Contract { get; }

    /// <summary>Reads the data, and trains the tokenizer or loads it from where it was saved.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="baseFolder">The folder that its paths are relative to.</param>
    /// <param name="kept">The folder in which the trained tokenizer is saved.</param>
    /// <param name="observer">Receives the progress.</param>
    /// <param name="hub">Fetches files from hubs; configured by the environment when left out.</param>
    public static Materials Gather(
        Recipe recipe,
        string baseFolder,
        string kept,
        RunObserver observer,
        Hub? hub = null)
    {
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(observer);
        hub ??= new Hub(HubSettings.FromEnvironment());
        recipe = Fetched(recipe, hub);
        var corpora = new Corpora(
            recipe,
            baseFolder,
            new PackageCache(),
            observer.Progress,
            hub);
        if (TextFolder(recipe) is not null)
        {
            var (tokenizer, contract) = OpenText(recipe, baseFolder, corpora);
            return new Materials(
                recipe,
                baseFolder,
                corpora,
                tokenizer,
                contract);
        }
        var conversions = (recipe.Chat?.Convert ?? []).Select(corpora.Conversion).ToList();
        var layout = recipe.Model is ChatGlmSpec
            ? new TextContract(FamilyTemplates.GlmWords, conversions).With(Glm)
            : new TextContract(ChatTemplate.Own, conversions);
        layout = layout with { Template = layout.Template with { System = recipe.Chat?.System ?? "" } };
        var own = Named(layout, recipe.Chat, baseFolder);
        if (!File.Exists(Path.Combine(kept, Tokenizer.FileName)))
        {
            observer.Progress("Training the tokenizer", 0, 0);
            TrainTokenizer(recipe, corpora, own).Save(kept);
        }
        return new Materials(
            recipe,
            baseFolder,
            corpora,
            Tokenizer.Load(kept).Uncut(),
            own);
    }

    /// <summary>The folder of the tokenizer that a recipe names, or of its model's; null where the run trains one.</summary>
    /// <param name="recipe">The recipe.</param>
    internal static string? TextFolder(Recipe recipe) => (recipe.Tokenizer, recipe.Model) switch
    {
        (TokenizerFolderSpec spec, _) => spec.Folder,
        (null, PretrainedSpec spec) => spec.Folder,
        _ => null,
    };

    /// <summary>The tokenizer and the layout of <see cref="TextFolder"/>, as the recipe changes it.</summary>
    /// <param name="recipe">The recipe; nothing of it lies on a hub.</param>
    /// <param name="baseFolder">What its paths are relative to.</param>
    /// <param name="corpora">Its data and tables.</param>
    internal static (Tokenizer Tokenizer, TextContract Contract) OpenText(Recipe recipe, string baseFolder, Corpora corpora)
    {
        var named = TextFolder(recipe)!;
        var folder = Path.GetFullPath(named, Path.GetFullPath(baseFolder));
        var rows = recipe.Model is PretrainedSpec { Folder: var its } && its == named ? ModelFolder.TokenRows(folder) : null;
        var tokenizer = Tokenizer.Load(folder, rows).Uncut();
        var contract = TextContract.Load(folder, tokenizer);
        if (recipe.Chat is not { } chat)
            return (tokenizer, contract);
        var changed = contract with
        {
            Template = contract.Template with { System = chat.System ?? "" },
            Conversions = [.. (chat.Convert ?? []).Select(corpora.Conversion)],
        };
        return (tokenizer, Named(changed, chat, baseFolder));
    }

    // From here on, a model on a hub is a folder like any other.
    private static Recipe Fetched(Recipe recipe, Hub hub) => recipe with
    {
        Model = recipe.Model is PretrainedSpec model ? model with { Folder = hub.Model(model.Folder) } : recipe.Model,
        Tokenizer = recipe.Tokenizer is TokenizerFolderSpec tokenizer
            ? tokenizer with { Folder = hub.Tokenizer(tokenizer.Folder) }
            : recipe.Tokenizer,
        Stages = [.. recipe.Stages.Select(stage => Fetched(stage, hub))],
        Changed = recipe.Changed.ToDictionary(
            pair => pair.Key,
            pair => (IReadOnlyList<StageSpec>)[.. pair.Value.Select(stage => Fetched(stage, hub))]),
        Rewards = recipe.Rewards?.ToDictionary(pair => pair.Key, pair => pair.Value switch
        {
            ModelRewardSpec { Folder: { } folder } model => model with { Folder = hub.Model(folder) },
            JudgeRewardSpec { Folder: { } folder } judge => judge with { Folder = hub.Model(folder) },
            var other => other,
        }),
    };

    private static StageSpec Fetched(StageSpec stage, Hub hub) => stage with
    {
        Method = Fetched(stage.Method, hub),
        Objective = Fetched(stage.Objective, hub),
        From = stage.From is { } from && HubAddress.IsAddress(from) ? hub.Model(from) : stage.From,
    };

    private static ObjectiveSpec Fetched(ObjectiveSpec objective, Hub hub) => objective switch
    {
        AlignSpec { By: DistillSpec distill } align when HubAddress.IsAddress(distill.Teacher) =>
            align with { By = distill with { Teacher = hub.Model(distill.Teacher) } },
        AlignSpec { By: PpoSpec { Critic: { } critic } ppo } align when HubAddress.IsAddress(critic) =>
            align with { By = ppo with { Critic = hub.Model(critic) } },
        MixSpec mix => mix with
        {
            Terms = [.. mix.Terms.Select(term => term with { Objective = Fetched(term.Objective, hub) })],
        },
        _ => objective,
    };

    private static MethodSpec? Fetched(MethodSpec? method, Hub hub) => method switch
    {
        PromptMethod prompt => prompt with { Train = Fetched(prompt.Train, hub) },
        AdaptersMethod several => several with { Adapters = several.Adapters.ToDictionary(
            pair => pair.Key, pair => pair.Value with { Folder = pair.Value.Folder is { } folder ? hub.Adapter(folder) : null }) },
        _ => method,
    };

    // The template that the recipe names, and its variables.
    private static TextContract Named(TextContract contract, ChatSpec? chat, string baseFolder)
    {
        if (chat?.Template is { } name)
            contract = contract.With(
                name.EndsWith(".jinja", StringComparison.Ordinal) ? Path.GetFullPath(name, Path.GetFullPath(baseFolder)) : name);
        return chat?.Variables is { Count: > 0 } variables ? contract.With(TemplateVariables.Of(variables)) : contract;
    }

    private const string Glm = "chatglm";

    // The marks that rows are made of are tokens of their own.
    private static string[] Specials(Recipe recipe)
    {
        string[] own = recipe.Model is ChatGlmSpec ? ["[MASK]", .. NamedTemplates.Needs(Glm)] : [.. ChatTemplate.Specials];
        return [.. (Marks(recipe)?.Tokens ?? []).Union(own).Union(NamedTemplates.Needs(recipe.Chat?.Template ?? ""))];
    }

    private static FreshMarks? Marks(Recipe recipe) => recipe.Model is FamilySpec family ? FreshFamily.MarksOf(family.Family) : null;

    // A masked model reads its texts between two tokens, and a T5 reads them before one; the tokenizer puts them there.
    private static Tokenizer Framed(Tokenizer tokenizer, Recipe recipe) =>
        Marks(recipe) is { } marks ? tokenizer.Framed(marks.Open, marks.Close) : tokenizer;

    private static Tokenizer TrainTokenizer(Recipe recipe, Corpora corpora, TextContract contract)
    {
        var specials = Specials(recipe);
        // Alignment reads prompts that finetuning has read: counting them twice would only bias the counts.
        var parts = recipe.AllStages().SelectMany(stage => stage.Parts());
        var texts = parts.Where(stage => !stage.SamplesAnswers).SelectMany(stage =>
        {
            var data = new StageData(stage, corpora, contract);
            return data.Rows(DataSplit.Train).SelectMany(row => data.Render(row).Texts);
        });
        return Framed(recipe.Tokenizer switch
        {
            ByteLevelBpeSpec spec => ByteLevelBpeTrainer.Train(texts, spec.VocabularySize, spec.MinimumCount, specials),
            WordPieceSpec spec => WordPieceTrainer.Train(
                texts,
                spec.VocabularySize,
                spec.MinimumCount,
                specials,
                spec.Normalize),
            UnigramSpec spec => UnigramTrainer.Train(texts, spec.VocabularySize, specials),
            CharacterTokenizerSpec spec => CharacterTokenizerTrainer.Train(texts, spec.MinimumCount, specials),
            _ => throw new InputException("A new model needs a tokenizer: add `tokenizer: {kind: character}` or `{kind: byteLevelBpe, "
                + "vocabularySize: 8000}` to the recipe."),
        }, recipe);
    }

    /// <summary>A stage's data.</summary>
    /// <param name="stage">The stage's name.</param>
    public StageData Data(string stage) => data[stage];

    /// <summary>A stage's data as a round reads it.</summary>
    /// <param name="stage">The stage, which a later round may have changed.</param>
    public StageData Data(StageSpec stage)
    {
        ArgumentNullException.ThrowIfNull(stage);
        if (data.GetValueOrDefault(stage.Name) is { } own && own.IsOf(stage)) return own;
        if (changed.Find(other => other.IsOf(stage)) is { } known) return known;
        changed.Add(new StageData(stage, Corpora, Contract));
        return changed[^1];
    }

    /// <summary>
    /// The most tokens of a stage's rows: the batch's maxLength, at most the model's context. The rule is the same for training, measuring
    /// and baselines.
    /// </summary>
    /// <param name="stage">The stage.</param>
    public int LengthOf(StageSpec stage)
    {
        ArgumentNullException.ThrowIfNull(stage);
        return Math.Min(stage.Batch?.MaxLength ?? int.MaxValue, context ??= Recipe.Model switch
        {
            INewModel spec => spec.ContextLength,
            PretrainedSpec spec => ModelFolder.ContextLength(Path.GetFullPath(spec.Folder, Path.GetFullPath(baseFolder))),
            _ => int.MaxValue,
        });
    }

    /// <summary>How a stage's rows are cut where they are only measured: nothing is refused.</summary>
    /// <param name="stage">The stage.</param>
    public BatchSpec BatchOf(StageSpec stage)
    {
        ArgumentNullException.ThrowIfNull(stage);
        return (stage.Batch ?? new BatchSpec()) with { MaxLength = LengthOf(stage), MaxCut = 1 };
    }

    /// <summary>The stage of a name.</summary>
    /// <param name="name">The name.</param>
    public StageSpec Stage(string name) => Recipe.Stages.First(stage => stage.Name == name);

    /// <summary>The rewards; programs and models among them are opened when they are first needed.</summary>
    public RewardSet Rewards => rewards ??= new RewardSet(this);

    /// <summary>The tasks that prompts ask for.</summary>
    public AskedTasks Asked => asked ??= new AskedTasks(this);

    /// <summary>The folder of the model that a run starts from; null when it starts from fresh weights.</summary>
    public string? BaseModel => Recipe.Model is PretrainedSpec spec ? Path.GetFullPath(spec.Folder, Path.GetFullPath(baseFolder)) : null;

    /// <summary>Another model than the one that is trained: that of an earlier stage, or of a folder.</summary>
    /// <param name="stage">The stage that asks, for messages.</param>
    /// <param name="named">The stage's name, or the folder.</param>
    /// <exception cref="InputException">The stage is not trained yet, or the folder holds no model.</exception>
    internal TextModel OpenOther(string stage, string named)
    {
        if (Recipe.Stages.All(other => other.Name != named)) return TextModel.Open(Path.GetFullPath(named, Path.GetFullPath(baseFolder)));
        return TextModel.Open(Rewards.Finished(named) ?? throw new InputException($"Stage {stage} needs the model of stage {named}, which "
            + "is not trained yet. Put that stage before it."));
    }

    /// <summary>The model that a run starts from.</summary>
    /// <param name="stage">The stage that uses it, which may add a head over labels; null for the model as it is.</param>
    public TextModel NewModel(StageSpec? stage = null)
    {
        var heads = stage is { TrainsHead: true } ? stage : null;
        if (BaseModel is { } folder) return Together(Open(folder, heads));
        var marks = Marks(Recipe);
        var ends = (
            Tokenizer.IdOf(marks?.Open ?? Contract.Template.Begin) ?? 0, Tokenizer.IdOf(marks?.Close ?? Contract.Template.End) ?? 0);
        return Together(Fresh(ModelFolder.Configure(Recipe.Model, Tokenizer.VocabularySize, ends, Tokenizer.IdOf), heads));
    }

    private TextModel Together(LanguageModel model)
    {
        if (Tokenizer.VocabularySize <= model.Sizes.VocabularySize) return new TextModel(model, Tokenizer, Contract);
        using (model)
            throw new InputException($"The tokenizer has {Tokenizer.VocabularySize} tokens, the model {model.Sizes.VocabularySize}: they "
                + "do not belong together. Take the model's own (leave tokenizer out), or one of fewer tokens.");
    }

    private LanguageModel Fresh(JsonObject configuration, StageSpec? heads) => heads is null
        ? ModelFolder.New(configuration, Recipe.Seed)
        : HeadStage.New(heads, configuration, LabelsOf(heads), Recipe.Seed);

    /// <summary>A finished stage's model, under this run's tokenizer and layout.</summary>
    /// <param name="folder">The model's folder.</param>
    /// <param name="stage">The stage that uses it, which may add a head over labels; null for the model as it is.</param>
    /// <exception cref="InputException">The model has fewer tokens than the run's tokenizer.</exception>
    public TextModel OpenModel(string folder, StageSpec? stage = null) =>
        Together(Open(folder, stage is { TrainsHead: true } ? stage : null));

    private LanguageModel Open(string folder, StageSpec? heads) =>
        heads is null ? ModelFolder.Open(folder) : HeadStage.Open(heads, folder, LabelsOf(heads), Recipe.Seed);

    private IReadOnlyList<string> LabelsOf(StageSpec stage) => stage.TrainsLabels ? Data(stage).Labels() : [];

    /// <summary>Ends the programs and frees the models of rewards.</summary>
    public void Dispose()
    {
        rewards?.Dispose();
        asked?.Dispose();
    }
}
