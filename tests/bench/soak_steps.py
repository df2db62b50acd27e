"""What tests/bench/soak.py kills: all steps of all methods, each as one command, in the order in which they need one
another. The stand-in answers those that ask; models are tiny and random.

`{asking}` names the server, `{out}` is the folder of this run, `{done}` that of the undisturbed run, where the results
of the steps before it lie.
"""

SMALL = "--deepspeed none --per_device_train_batch_size 8 --learning_rate 1e-3 --save_steps 2 --num_train_epochs 1"

STEPS = {
    "eval.generate": "eval/generate.py --data_path {done}/questions.jsonl --save_path {out}/answers.jsonl {asking}",
    "eval.wrap": "eval/judge_pairs.py wrap --answers1 {done}/answers.jsonl --answers2 {done}/others.jsonl"
    " --save_path {out}/wrapped.json",
    "eval.judge": "eval/judge_pairs.py judge --wrapped_path {done}/pairs.json --save_path {out}/r.json {asking}",
    "eval.combine": "eval/judge_pairs.py combine --review_paths {done}/r.json --save_path {out}/result.json",
    "eval.rate_answers": "eval/rate_answers.py --data_path {done}/answers.jsonl --prompt_key prompt"
    " --response_key response --save_path {out}/rated.scored.jsonl {asking}",
    "webr.step1": "webr/step1_infer_author.py --data_path webr/sample/pages.jsonl"
    " --save_path {out}/webr/1.jsonl {asking}",
    "webr.step2": "webr/step2_make_requests.py --data_path {done}/webr/1.jsonl --save_path {out}/webr/2.jsonl {asking}",
    "webr.step3": "webr/step3_make_responses.py --data_path {done}/webr/2.jsonl"
    " --save_path {out}/webr/3.jsonl {asking}",
    "webr.step4": "webr/step4_refine_responses.py --data_path {done}/webr/3.jsonl"
    " --save_path {out}/webr/4.jsonl {asking}",
    "webr.step5": "webr/step5_postprocess.py --WI_data_paths {done}/webr/4.jsonl --WR_data_paths {done}/webr/4.jsonl"
    " --save_name {out}/webr/data/webr",
    "webr.report": "webr/write_report.py --data_path {done}/webr/data/webr.jsonl --save_path {out}/webr/report.html",
    "web_to_sft.step1": "web_to_sft/step1_match_pairs.py --web_path web_to_sft/sample/web.jsonl --num_workers 2"
    " --high_quality_path web_to_sft/sample/clean.jsonl --save_path {out}/web_to_sft/pairs.jsonl",
    "web_to_sft.step2": "web_to_sft/step2_build_converter_data.py --pairs_path {done}/web_to_sft/pairs.jsonl"
    " --web_path web_to_sft/sample/web.jsonl --high_quality_path web_to_sft/sample/clean.jsonl"
    " --save_path {out}/web_to_sft/converter.jsonl",
    "web_to_sft.step3": "common/training/finetune.py --data_path {done}/web_to_sft/converter.jsonl"
    f" --model_name_or_path {{done}}/causal --output_dir {{out}}/web_to_sft/converter_model {SMALL}",
    "web_to_sft.step4": "web_to_sft/step4_convert_web.py --data_path web_to_sft/sample/web.jsonl"
    " --save_path {out}/web_to_sft/converted.jsonl {asking}",
    "web_to_sft.step5": "web_to_sft/step5_build_sft.py --data_path {done}/web_to_sft/converted.jsonl"
    " --add_path web_to_sft/sample/clean.jsonl --save_path {out}/web_to_sft/solver.jsonl",
    "web_to_sft.rules": "web_to_sft/rule_baseline.py --data_path web_to_sft/sample/web.jsonl"
    " --save_path {out}/web_to_sft/by_rules.jsonl",
    "web_to_sft.report": "web_to_sft/write_report.py --folder {done}/web_to_sft"
    " --save_path {out}/web_to_sft/report.html",
    "superfiltering.step1": "superfiltering/step1_score_ifd.py --data_path superfiltering/sample/instructions.json"
    " --save_path {out}/superfiltering/scores.jsonl --model_name_or_path {done}/causal --num_workers 2",
    "superfiltering.step2": "superfiltering/step2_attach_scores.py --pt_data_path {done}/superfiltering/scores.jsonl"
    " --json_data_path superfiltering/sample/instructions.json --json_save_path {out}/superfiltering/with_ifd.json",
    "superfiltering.step3": "superfiltering/step3_select.py --json_data_path {done}/superfiltering/with_ifd.json"
    " --json_save_path {out}/superfiltering/selected.json --sample_rate 0.2 --filter_threash 2"
    " --random_baseline {out}/superfiltering/random.json --length_baseline {out}/superfiltering/longest.json",
    "superfiltering.diverse": "superfiltering/step3_select_diverse.py"
    " --json_data_path {done}/superfiltering/with_ifd.json --json_save_path {out}/superfiltering/diverse.json"
    " --emb_model {done}/encoder --ifd_num 20 --ifd_lupper 2 --fla_num 5",
    "superfiltering.report": "superfiltering/report_selection.py --json_data_path {done}/superfiltering/with_ifd.json"
    " --sample_rate 0.2 --filter_threash 2 --save_path {out}/superfiltering/report.html",
    "augcon.step1": "augcon/step1_generate_questions.py --data_path augcon/sample/articles.jsonl"
    " --save_path {out}/augcon/questions.jsonl {asking}",
    "augcon.step2": "augcon/step2_train_scorer.py --config augcon/train_scorer_small.yaml"
    " --data_path {done}/augcon/questions.pairs.jsonl --model_name_or_path {done}/causal"
    " --output_dir {out}/augcon/scorer --deepspeed none --save_strategy steps --save_steps 2",
    "augcon.step3": "augcon/step3_rank_and_filter.py --data_path {done}/augcon/questions.jsonl"
    " --save_path {out}/augcon/filtered.jsonl --model_name_or_path {done}/augcon/scorer --num_gpus 0",
    "augcon.step3_judge": "augcon/step3_rank_and_filter.py --data_path {done}/augcon/questions.jsonl"
    " --save_path {out}/augcon/judged/filtered.jsonl --rank judge {asking}",
    "augcon.step4": "augcon/step4_answer.py --data_path {done}/augcon/filtered.jsonl --save_path {out}/augcon/sft.jsonl"
    " --examples_path augcon/sample/qa_examples.jsonl {asking}",
    "augcon.step5": "common/training/finetune.py --data_path {done}/augcon/sft.jsonl --lora_r 4"
    f" --prompt_key question --response_key answer --model_name_or_path {{done}}/causal"
    f" --output_dir {{out}}/augcon/lora {SMALL}",
    "augcon.step6": "common/training/merge.py --adapter_path {done}/augcon/lora --save_path {out}/augcon/merged",
    "augcon.step7": "augcon/step7_infer.py --data_path augcon/sample/test.jsonl --save_path {out}/augcon/outputs.jsonl"
    " {asking}",
    "augcon.chatml": "augcon/write_chatml.py --data_path {done}/augcon/sft.jsonl --save_path {out}/augcon/chatml.jsonl",
    "augcon.report": "augcon/write_report.py --folder {done}/augcon --save_path {out}/augcon/report.html",
    "edu_filter.step1": "edu_filter/step1_rate.py --dataset_path edu_filter/sample/documents.jsonl"
    " --output_path {out}/edu_filter/ratings.jsonl {asking}",
    "edu_filter.check": "edu_filter/check_rater.py --data_path {done}/edu_filter/ratings.jsonl"
    " --save_path {out}/edu_filter/agreement.jsonl --sentinels {out}/edu_filter/sentinels {asking}",
    "edu_filter.step2": "edu_filter/step2_train_head.py --json_file {done}/edu_filter/ratings.jsonl"
    " --checkpoint_dir {out}/edu_filter/head --base_model {done}/encoder --test_share 0.3 --train_batch_size 8"
    " --learning_rate 1e-3 --num_train_epochs 3",
    "edu_filter.step3": "edu_filter/step3_score_corpus.py --model_path {done}/edu_filter/head/model"
    " --dataset {done}/documents/*.jsonl --output_dir {out}/edu_filter/scored --num_workers 2",
    "edu_filter.step4": "edu_filter/step4_filter.py --dataset_path {done}/edu_filter/scored --score 2"
    " --output_path {out}/edu_filter/kept.jsonl",
    "edu_filter.step5": "edu_filter/step5_label.py --dataset_path {done}/edu_filter/scored"
    " --output_path {out}/edu_filter/labels/scored.jsonl {asking}",
    "edu_filter.step6": "edu_filter/step6_plot_labels.py --result_path {done}/edu_filter/labels"
    " --output_dir {out}/edu_filter/plots",
    "edu_filter.report": "edu_filter/write_report.py --folder {done}/edu_filter"
    " --save_path {out}/edu_filter/report.html",
}
